// Compares all references of a service with the rows that the other service has.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/relation/repair/sides.h"

namespace crosskey::relation {

struct Report {
  // What is wrong with one row.
  struct Example {
    std::string problem;
    std::string resource;  // "users/7"
    std::string uid;
  };
  static constexpr size_t kExamples = 10;  // of each problem

  std::string history;        // why a history does not go on; empty: both do
  bool needs_repair = false;  // a repair of this service is what lets the peer's history go on
  int64_t references = 0;
  int64_t open_deletions = 0;
  std::map<std::string, int64_t> problems;  // how many rows have which
  std::vector<Example> examples;

  bool is_clean() const { return history.empty() && problems.empty(); }
  void Add(const std::string& problem, const std::string& resource, const std::string& uid);
};

// What Report::problems can name.
inline constexpr char kLostParent[] = "its row is gone";              // a reference to a row that is not there
inline constexpr char kOtherParent[] = "its id was given again";      // a reference to another incarnation
inline constexpr char kHiddenParent[] = "hidden, but its row lives";  // a tombstone of a row that is not being deleted
inline constexpr char kUnreported[] = "deletion without an end";      // nothing is left, and nobody reports it
inline constexpr char kUndecided[] = "not decided in time";  // events were not consumed, so nothing can be said

// Safe to run while both services serve: it changes nothing, reads by pages of 500 rows with a rest after each that is
// as long as the page took, and a row that looks wrong is
// looked at again once the events that explain it must have taken effect, a second later at least. So what it names is
// wrong for good. Thread-safe.
class Check {
 public:
  explicit Check(const Sides& sides) : sides_(sides) {}

  // UNAVAILABLE PEER_UNAVAILABLE: the other service does not answer.
  absl::StatusOr<Report> Run();

 private:
  struct Suspect {
    const Child* child;
    Row row;
  };
  absl::Status CompareHistories(Report& report);
  absl::Status Page(const Child& child, RowId& after, bool& more, Report& report);
  absl::Status LookAgain(Report& report);
  absl::Status LookAgain(const Child& child, const std::vector<RowId>& ids, Report& report);
  absl::Status CheckDeletions(Report& report);
  // Waits until the peer's feed has taken effect up to here. False: nothing of it does for 5 s, or it takes longer than
  // 5 minutes.
  absl::StatusOr<bool> AwaitConsumed(Sequence sequence);

  const Sides& sides_;
  std::map<const Child*, std::vector<RowId>> suspects_;
};

// What is wrong with a reference row, according to its owner's answer; nullptr: nothing that can be seen.
const char* ProblemOf(const Row& reference, ReferenceState state, const Found* owner);

}  // namespace crosskey::relation
