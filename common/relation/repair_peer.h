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
  Row row;
  DeletionId deletion_id{};
};

// The point of another service's feed at which this service begins anew.
struct RepairPoint {
  std::string feed_id;   // new
  Sequence head{};       // its last event
  std::string event_id;  // of that event; empty: there is none
};

// Some of the deletions that are open and whose events have a place up to a head.
struct OpenPage {
  std::string feed_id;  // the history of the head
  std::vector<OpenDeletion> deletions;
  DeletionId next{};  // behind which the next page begins; 0: this one is the last
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

  // Every error is UNAVAILABLE PEER_UNAVAILABLE.
  virtual absl::StatusOr<RepairPoint> BeginRepair(const Call& call, const std::vector<events::Seen>& seen) = 0;
  virtual absl::StatusOr<OpenPage> ListOpen(const Call& call, const std::string& type, DeletionId after,
                                            Sequence head) = 0;
  // Peer::Lookup for a check: also answered by a service that has lost something. No write may be based on it.
  virtual absl::StatusOr<LookupAnswer> Examine(const Call& call, const std::string& type,
                                               const std::vector<RowId>& ids) = 0;
  virtual absl::StatusOr<ReferencesAnswer> FindReferences(const Call& call, const std::string& type,
                                                          const std::vector<RowId>& ids) = 0;
};

}  // namespace crosskey::relation
