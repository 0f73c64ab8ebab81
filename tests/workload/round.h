// One round of a test with random load: load and faults for a while, then quiet, then the check of everything.
//
// A test of any length is a row of rounds, each of which forgets the history of the one before it: what a round has to know
// of the past is in the databases, which nobody uses in between. So the memory needed does not grow with the length.
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
  int64_t repeated = 0;                              // after they were done
  int64_t events = 0;
  double seconds = 0;  // under load
  void Add(const Tally& other);
  int64_t Sum() const;
};

class Rounds {
 public:
  // `nemesis` may be null: then the cluster has to work without any of the errors that faults explain.
  Rounds(Cluster& cluster, const Workload::Options& options, Nemesis* nemesis);

  // Returns what it found. `sample` is called between faults, about once a second at least.
  std::vector<Violation> Run(absl::Duration time, const std::function<void()>& sample = nullptr);

  const Tally& last() const { return last_; }

 private:
  // Whether nothing goes on any more: no call in any process, no deletion undecided, all events consumed.
  bool AwaitRest();

  Cluster& cluster_;
  Nemesis* const nemesis_;
  Workload workload_;
  Snapshot before_;
  Tally last_;
};

// At most that many of each kind, a line each.
std::string Report(const std::vector<Violation>& violations, int of_each_kind = 5);

}  // namespace crosskey::testing
