// What a repair asks of the other service. Implemented by GrpcPeer.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/events/feed.h"
#include "common/relation/peer.h"
#include "common/relation/row.h"
#include "common/status/call.h"

namespace crosskey::relation {

// A deletion that is decided and not over.
struct OpenDeletion {
  std::string type;
  Row row;
  DeletionId deletion_id{};
};

// The point of another service's feed at which this service begins anew: what the other service says in one state.
struct RepairPoint {
  std::string feed_id;                       // new
  Sequence head{};                           // its last event
  std::string event_id;                      // of that event; empty: there is none
  std::vector<OpenDeletion> open_deletions;  // their events have a place up to `head`
};

// Which rows are referred to.
struct ReferencesAnswer {
  std::vector<Row> found;
  // How far the owner's feed had been consumed before the rows were read.
  std::string feed_id;
  Sequence last_sequence{};
  events::HistoryState state = events::HistoryState::kUnknown;
};

class RepairPeer {
 public:
  virtual ~RepairPeer() = default;

  // Every error is UNAVAILABLE PEER_UNAVAILABLE, except RESOURCE_EXHAUSTED OVERLOADED: too many deletions are open.
  virtual absl::StatusOr<RepairPoint> BeginRepair(const Call& call, const std::vector<events::Seen>& seen) = 0;
  // Peer::Lookup for a check: also answered by a service that has lost something. No write may be based on it.
  virtual absl::StatusOr<LookupAnswer> Examine(const Call& call, const std::string& type,
                                               const std::vector<RowId>& ids) = 0;
  virtual absl::StatusOr<ReferencesAnswer> FindReferences(const Call& call, const std::string& type,
                                                          const std::vector<RowId>& ids) = 0;
};

}  // namespace crosskey::relation
