// Gives committed events their place in the feed.
#pragma once

#include "absl/status/statusor.h"
#include "common/db/database.h"

namespace crosskey::events {

// Auto-increment ids are given when a row is inserted, not when it commits. A reader that goes by id may see 11 while
// 10 is not committed, remember 11, and never see 10. So readers go by `sequence`, which the sequencer gives to
// committed rows under the lock of the feed's row. The numbers have no gap, and a new one is never smaller than one
// that a reader has seen.
//
// Several sequencers may run at once, because the row lock makes them take turns. Unlike the other background tasks
// they take no lease: the process that has appended an event numbers it at once, instead of waiting until the holder of
// a lease looks.
class Sequencer {
 public:
  explicit Sequencer(db::Database& database) : database_(database) {}

  // Numbers at most limits::kEventBatch events. Returns how many.
  absl::StatusOr<int64_t> Round(const Call& call);

 private:
  db::Database& database_;
};

}  // namespace crosskey::events
