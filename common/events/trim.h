// Removes old events from a service's log.
#pragma once

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/db/database.h"
#include "common/events/feed.h"

namespace crosskey::events {

// Removes the oldest events and raises the feed's floor, in one transaction. The log is the only copy of what the peer
// has not consumed, so an event is removed only if it is numbered, old enough, and consumed by the peer. What has been
// removed is always a beginning of the feed, so one event that must stay keeps all later ones.
//
// Thread-safe. Several may run at once, in one process or in many: only the one that raises the floor removes.
class Trim {
 public:
  Trim(db::Database& database, Feed& feed) : database_(database), feed_(feed) {}

  // Removes one batch: at most limits::kTrimBatch events that were appended before `before` and are not beyond
  // `consumed`, the peer's position in this feed. A position in another history removes nothing. Returns how many were
  // removed. FAILED_PRECONDITION: the position is beyond the head, so this database has been restored from a backup.
  absl::StatusOr<int64_t> Round(const Call& call, const FeedPosition& consumed, absl::Time before);

 private:
  db::Database& database_;
  Feed& feed_;
};

}  // namespace crosskey::events
