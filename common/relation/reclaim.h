// Removing what referred to deleted parents.
#pragma once

#include <atomic>

#include "absl/status/statusor.h"
#include "common/events/outbox.h"
#include "common/relation/reference_sql.h"
#include "common/relation/reference_table.h"
#include "common/relation/removed_rows.h"

namespace crosskey::relation {

// Thread-safe; several may run at once, on one or on many processes: each batch locks its reference row.
class Reclaim {
 public:
  Reclaim(const ReferenceTable& table, const ReferenceSql& sql, events::Outbox& outbox, telemetry::Metrics& metrics)
      : table_(table), sql_(sql), outbox_(outbox), removed_(RemovedRows(metrics)) {
    for (const ChildTable& child : table.children) removed_.Add({{"relationship", child.declaration.relationship}});
  }

  // Removes one batch, at most limits::kReclaimBatchRows rows, of each of at most 100 parents, each in a transaction of
  // its own; the next round goes on with the parents behind them. Returns whether there may be more to do. The state is in the database alone, so it goes on after a
  // restart.
  absl::StatusOr<bool> Round(const Call& call);

 private:
  absl::StatusOr<bool> Batch(const Call& call, int64_t parent_id);
  absl::StatusOr<int64_t> RemoveSome(events::Tx& tx, size_t child, int64_t parent_id);
  absl::StatusOr<bool> NoneLeft(events::Tx& tx, int64_t parent_id);
  absl::Status Finish(events::Tx& tx, int64_t parent_id, const std::string& uid, int64_t deletion_id);

  const ReferenceTable& table_;
  const ReferenceSql& sql_;
  events::Outbox& outbox_;
  prometheus::Family<prometheus::Counter>& removed_;
  std::atomic<int64_t> after_ = 0;  // the last parent that was looked at
};

}  // namespace crosskey::relation
