// Removes old events from a service's log.
#pragma once

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/db/database.h"
#include "common/events/feed.h"

namespace crosskey::events {

// Removes the oldest events and raises the feed's floor, in one transaction. Only events that are numbered, older than
// asked for and consumed by the peer: the log is the only copy of what it has not consumed. What has been removed is always
// a beginning of the feed, so one event that must stay keeps all later ones. Thread-safe; several may run at once, on one
// or on many processes: moving the floor decides who removes.
class Trim {
 public:
  Trim(db::Database& database, Feed& feed) : database_(database), feed_(feed) {}

  // One batch, at most limits::kTrimBatch events, of those appended before `before` and not beyond `consumed`, the peer's
  // position in this feed. One that belongs to another history removes nothing. Returns how many were removed.
  absl::StatusOr<int64_t> Round(const Call& call, const FeedPosition& consumed, absl::Time before);

 private:
  db::Database& database_;
  Feed& feed_;
};

}  // namespace crosskey::events
