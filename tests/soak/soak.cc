// Both services at full load under random faults for a long time: soak [MINUTES [FLAG OF THE SERVICES...]]
//
// Besides the load there are 200 clients that never read an answer. Runs a quarter of the time on SQLite with one
// replica of each service, and the rest on MariaDB with two, if there is a server. Ends with exit code 1 if an
// invariant of common/relation/README.md did not hold, a process ended by itself, or a resource grows.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/soak/resources.h"
#include "tests/soak/slow_readers.h"
#include "tests/workload/round.h"
#include "tests/workload/settings.h"

namespace crosskey::testing {
namespace {

constexpr int kPhases = 5;
constexpr int kSlowReaders = 200;

void Print(const Tally& tally, const Nemesis& nemesis, const std::vector<Violation>& violations,
           const std::vector<std::string>& grown) {
  std::printf("%-20s %10s %10s %10s\n", "call", "ok", "failed", "unknown");
  for (int op = 0; op < kOps; ++op) {
    const auto& [ok, failed, unknown] = tally.calls[static_cast<size_t>(op)];
    std::printf("%-20s %10lld %10lld %10lld\n", NameOf(static_cast<Op>(op)), static_cast<long long>(ok),
                static_cast<long long>(failed), static_cast<long long>(unknown));
  }
  std::printf("all                  %10lld in %.0f s, %.0f a second; %lld events; sent again %lld, repeated %lld\n",
              static_cast<long long>(tally.Sum()), tally.seconds, static_cast<double>(tally.Sum()) / tally.seconds,
              static_cast<long long>(tally.events), static_cast<long long>(tally.sent_again),
              static_cast<long long>(tally.repeated));
  for (const auto& [error, count] : tally.errors) {
    std::printf("error %-50s %8lld\n", error.c_str(), static_cast<long long>(count));
  }
  for (const auto& [name, count] : nemesis.counts()) {
    std::printf("fault %-50s %8lld\n", name.c_str(), static_cast<long long>(count));
  }
  for (const std::string& crash : nemesis.crashes()) std::printf("%s\n", crash.c_str());
  for (const std::string& line : grown) std::printf("%s\n", line.c_str());
  std::printf("%zu violations, %zu crashes, %zu resources that grow\n%s", violations.size(), nemesis.crashes().size(),
              grown.size(), Report(violations).c_str());
}

// Returns whether all is well.
bool Soak(const std::string& backend, absl::Duration time, uint64_t seed, std::vector<std::string> flags) {
  const int rounds_wanted = std::max(4, static_cast<int>(time / absl::Minutes(1)));
  const bool trimmed = std::find(flags.begin(), flags.end(), "--event-retention") != flags.end();
  std::printf("== %s, %d rounds of %s\n", backend.c_str(), rounds_wanted,
              absl::FormatDuration(time / rounds_wanted).c_str());
  Workload::Options options;
  options.clients = 16;
  options.seed = seed;
  Cluster cluster(backend, {backend == "sqlite" ? 1 : 2, true, flags});
  cluster.StartAll();
  Nemesis nemesis(cluster, {seed, true, 2500});  // few faults, because a service that is away leaks nothing
  Rounds rounds(cluster, options, &nemesis);
  SlowReaders slow(cluster, kSlowReaders);
  Resources resources;
  Tally all;
  std::vector<Violation> violations;
  for (int round = 1; round <= rounds_wanted; ++round) {
    const std::vector<Violation> found = rounds.Run(time / rounds_wanted, [&] {
      resources.LookAtProcesses(cluster);
      slow.GoOn();
    });
    resources.LookAtOutboxes(cluster);
    all.Add(rounds.last());
    violations.insert(violations.end(), found.begin(), found.end());
    std::printf("round %d: %lld calls, %zu violations\n%s", round, static_cast<long long>(rounds.last().Sum()),
                found.size(), Report(found).c_str());
    std::fflush(stdout);
  }
  const std::vector<std::string> grown = resources.Grown(trimmed);
  Print(all, nemesis, violations, grown);
  std::printf("%d slow readers: %lld calls, %lld connections\n", kSlowReaders, static_cast<long long>(slow.calls()),
              static_cast<long long>(slow.connections()));
  resources.Print(kPhases);
  std::fflush(stdout);
  return violations.empty() && grown.empty() && nemesis.crashes().empty();
}

}  // namespace
}  // namespace crosskey::testing

int main(int argc, char** argv) {
  using namespace crosskey::testing;
  ::testing::InitGoogleTest(&argc, argv);  // Cluster reports failures by its assertions
  std::signal(SIGPIPE, SIG_IGN);
  const double minutes = argc > 1 ? std::atof(argv[1]) : 10;
  if (minutes <= 0) {
    std::fprintf(stderr, "usage: soak [MINUTES [FLAG OF THE SERVICES...]]\n");
    return 2;
  }
  const std::vector<std::string> flags(argv + std::min(argc, 2), argv + argc);
  const uint64_t seed = SeedOfRun();
  std::vector<std::string> backends = Backends();
  if (backends.size() > 2) backends.resize(2);
  bool well = true;
  for (const std::string& backend : backends) {
    const double share = backends.size() == 1 ? 1 : backend == "sqlite" ? 0.25 : 0.75;
    well = Soak(backend, absl::Minutes(minutes * share), seed, flags) && well;
  }
  return well && !::testing::UnitTest::GetInstance()->Failed() ? 0 : 1;
}
