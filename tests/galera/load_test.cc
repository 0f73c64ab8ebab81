// Random load on all nodes at once, and afterwards the check of the invariants of common/relation/README.md, on each of
// the nodes. The parts are those of tests/fault/nemesis_test.cc.
#include <cstdio>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/galera/galera.h"
#include "tests/workload/round.h"
#include "tests/workload/settings.h"

namespace crosskey::testing {
namespace {

void Print(const Tally& tally) {
  std::printf("%lld calls in %.1f s, %lld events\n", static_cast<long long>(tally.Sum()), tally.seconds,
              static_cast<long long>(tally.events));
  for (const auto& [error, count] : tally.errors) {
    std::printf("  %s: %lld\n", error.c_str(), static_cast<long long>(count));
  }
}

TEST(GaleraLoadTest, WithoutFaultsEverythingHolds) {
  Workload::Options options;
  options.seed = SeedOfRun();
  options.faults = false;
  Cluster cluster("galera", {2, false, {}});
  cluster.StartAll();
  cluster.AwaitQuiet();
  Rounds rounds(cluster, options, nullptr);
  for (int round = 0; round < TimesOfRun(); ++round) {
    const std::vector<Violation> violations = rounds.Run(absl::Seconds(5));
    EXPECT_TRUE(violations.empty()) << Report(violations);
    Print(rounds.last());
    EXPECT_GT(rounds.last().Sum(), 100);
    ExpectWhole(cluster);
  }
}

// Between the faults of the nemesis a node is killed and rejoins, with the load going on.
TEST(GaleraLoadTest, EverythingHoldsUnderRandomFaults) {
  Workload::Options options;
  options.seed = SeedOfRun();
  Cluster cluster("galera", {2, true, {}});
  cluster.StartAll();
  Nemesis nemesis(cluster, {options.seed});
  Rounds rounds(cluster, options, &nemesis);
  for (int round = 0; round < TimesOfRun(); ++round) {
    bool was_killed = false;
    const std::vector<Violation> violations = rounds.Run(absl::Seconds(15), [&] {
      if (std::exchange(was_killed, true)) return;
      KillNode((round + 1) % 3);
      RejoinNode((round + 1) % 3);
    });
    EXPECT_TRUE(violations.empty()) << Report(violations);
    Print(rounds.last());
    ExpectWhole(cluster);
  }
  for (const std::string& crash : nemesis.crashes()) ADD_FAILURE() << crash;
}

}  // namespace
}  // namespace crosskey::testing
