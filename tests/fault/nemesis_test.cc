// Makes random load and random faults, and afterwards checks the invariants of common/relation/README.md. Long runs are
// made by tests/run soak.
#include <cstdio>

#include <gtest/gtest.h>

#include "tests/workload/round.h"
#include "tests/workload/settings.h"

namespace crosskey::testing {
namespace {

class NemesisTest : public DatabaseTest {
 protected:
  // A SQLite database is for one process.
  int Replicas() const { return GetParam() == "sqlite" ? 1 : 2; }

  static void Print(const Tally& tally) {
    std::printf("%lld calls in %.1f s, %lld events; sent again %lld, repeated %lld\n",
                static_cast<long long>(tally.Sum()), tally.seconds, static_cast<long long>(tally.events),
                static_cast<long long>(tally.sent_again), static_cast<long long>(tally.repeated));
    for (int op = 0; op < kOps; ++op) {
      const auto& [ok, failed, unknown] = tally.calls[static_cast<size_t>(op)];
      std::printf("  %-17s %7lld ok %7lld failed %7lld unknown\n", NameOf(static_cast<Op>(op)),
                  static_cast<long long>(ok), static_cast<long long>(failed), static_cast<long long>(unknown));
    }
  }
};
CROSSKEY_ON_EVERY_DATABASE(NemesisTest);

TEST_P(NemesisTest, WithoutFaultsEverythingHoldsAndNothingIsUnavailable) {
  Workload::Options options;
  options.seed = SeedOfRun();
  options.faults = false;
  Cluster cluster(GetParam(), {Replicas(), false, {}});
  cluster.StartAll();
  cluster.AwaitQuiet();
  Rounds rounds(cluster, options, nullptr);
  const std::vector<Violation> violations = rounds.Run(absl::Seconds(4));
  EXPECT_TRUE(violations.empty()) << Report(violations);
  Print(rounds.last());
  EXPECT_GT(rounds.last().Sum(), 100);
}

TEST_P(NemesisTest, EverythingHoldsUnderRandomFaults) {
  Workload::Options options;
  options.seed = SeedOfRun();
  Cluster cluster(GetParam(), {Replicas(), true, {}});
  cluster.StartAll();
  Nemesis nemesis(cluster, {options.seed});
  Rounds rounds(cluster, options, &nemesis);
  for (int round = 0; round < 2; ++round) {
    const std::vector<Violation> violations = rounds.Run(absl::Seconds(6));
    EXPECT_TRUE(violations.empty()) << Report(violations);
    Print(rounds.last());
  }
  for (const auto& [name, count] : nemesis.counts()) {
    std::printf("  %s: %lld\n", name.c_str(), static_cast<long long>(count));
  }
  for (const std::string& crash : nemesis.crashes()) ADD_FAILURE() << crash;
}

}  // namespace
}  // namespace crosskey::testing
