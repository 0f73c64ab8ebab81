// Rounds of a test with random load: load and faults for a while, then quiet, then the check of everything.
//
// Each round forgets the history of the one before it. What it has to know of the past is in the databases, which
// nobody uses in between. So a test may have any number of rounds without needing more memory.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <vector>

#include "absl/time/time.h"
#include "tests/support/cluster.h"
#include "tests/workload/checker.h"
#include "tests/workload/nemesis.h"
#include "tests/workload/workload.h"

namespace crosskey::testing {

struct Tally {
  std::array<std::array<int64_t, 3>, kOps> calls{};  // by operation and outcome
  std::map<std::string, int64_t> errors;             // by code and reason
  int64_t sent_again = 0;                            // because the outcome was unknown
  int64_t repeated = 0;                              // at the same time, or after they were done
  int64_t events = 0;
  double seconds = 0;  // under load
  void Add(const Tally& other);
  int64_t Sum() const;
};

class Rounds {
 public:
  // Without a nemesis (null) no error is accepted that only faults explain.
  Rounds(Cluster& cluster, const Workload::Options& options, Nemesis* nemesis);

  // Returns the violations found. `sample` is called after each step of the nemesis, or every 500 ms without one.
  std::vector<Violation> Run(absl::Duration time, const std::function<void()>& sample = nullptr);

  const Tally& last() const { return last_; }

 private:
  // Waits until nothing goes on any more: no call in any process, every deletion at its end, all events consumed. False
  // if that takes too long.
  bool AwaitRest();

  Cluster& cluster_;
  Nemesis* const nemesis_;
  Workload workload_;
  Snapshot before_;
  Tally last_;
};

// One line for each violation, at most `of_each_kind` of a kind, and then the number of all of each kind.
std::string Report(const std::vector<Violation>& violations, int of_each_kind = 5);

}  // namespace crosskey::testing
