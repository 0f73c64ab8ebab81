// What one service asks of the other to keep references right. Implemented by GrpcPeer, and by a fake in the tests.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/relation/declarations.h"
#include "common/relation/row.h"
#include "common/status/call.h"
#include "common/status/errors.h"
#include "common/status/limits.h"

namespace crosskey::relation {

// A row that another service owns.
struct Found {
  Row row;
  bool deleting;  // a deletion has begun and is undecided
};

struct LookupAnswer {
  std::vector<Found> found;   // ids that do not exist are absent
  Sequence as_of_sequence{};  // the head of the owner's feed, read before the rows
  std::string feed_id = {};   // the history of as_of_sequence; empty: from a release that does not say
  // When the owner was asked. The answer must not be used later than limits::kAnswerAge after that: the owner's
  // database may have been restored meanwhile.
  std::chrono::steady_clock::time_point asked = std::chrono::steady_clock::now();

  bool IsTooOld() const {
    return std::chrono::steady_clock::now() - asked > absl::ToChronoNanoseconds(limits::kAnswerAge);
  }
};

struct ReleaseRequest {
  std::string type;
  Row parent;
  DeletionId deletion_id{};
  Sequence as_of_sequence{};  // the head of the sender's feed, read before it checked that the deletion is still INTENT
  std::map<std::string, Action> overrides;  // in place of the declared actions, by relationship
  bool validate_only = false;
  std::string feed_id;          // the history of as_of_sequence; empty: from a release that does not say
  bool without_counts = false;  // with validate_only: say only whether it would be refused, count nothing else
};

// A definite answer.
struct ReleaseAnswer {
  bool released = false;                    // false: refused, for good
  std::vector<errors::Referencing> counts;  // see relation.v1.ReleaseReferencedResponse
};

class Peer {
 public:
  virtual ~Peer() = default;

  // Asks the owner of the type which of the rows exist. Every error is UNAVAILABLE PEER_UNAVAILABLE.
  virtual absl::StatusOr<LookupAnswer> Lookup(const Call& call, const std::string& type,
                                              const std::vector<RowId>& ids) = 0;
  // Asks a service that refers to the row to release it. ABORTED: nothing was done; read the head again and repeat.
  // Every other error is UNAVAILABLE PEER_UNAVAILABLE and leaves the outcome unknown.
  virtual absl::StatusOr<ReleaseAnswer> Release(const Call& call, const ReleaseRequest& request) = 0;
};

}  // namespace crosskey::relation
