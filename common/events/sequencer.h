// Gives committed events their place in the feed.
#pragma once

#include "absl/status/statusor.h"
#include "common/db/database.h"

namespace crosskey::events {

// Auto-increment ids are given when a row is inserted, not when it commits: a reader that goes by id sees 11, and never
// 10 that commits later. So the feed goes by `sequence`, which is given here to rows that are committed, under the lock
// of the feed's row: without a gap, and never smaller than one that a reader has seen. Several sequencers may run at
// once; the row lock keeps them right. On purpose they take no lease, unlike the other background tasks: the process that
// has appended an event numbers it at once, instead of waiting until the holder of a lease looks.
class Sequencer {
 public:
  explicit Sequencer(db::Database& database) : database_(database) {}

  // Numbers at most limits::kEventBatch events. Returns how many.
  absl::StatusOr<int64_t> Round(const Call& call);

 private:
  db::Database& database_;
};

}  // namespace crosskey::events
