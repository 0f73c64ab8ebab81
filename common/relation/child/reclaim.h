// Removing what referred to deleted parents.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/events/outbox.h"
#include "common/relation/child/reference_sql.h"
#include "common/relation/child/reference_table.h"
#include "common/relation/child/removed_rows.h"

namespace crosskey::relation {

// Thread-safe; several may run at once, on one or on many processes: each batch locks its reference row.
class Reclaim {
 public:
  Reclaim(const ReferenceTable& table, const ReferenceSql& sql, events::Outbox& outbox, telemetry::Metrics& metrics);

  // Removes one batch, at most limits::kReclaimBatchRows rows, of each of at most 100 parents, each in a transaction of its own;
  // the next round goes on with the parents behind them. Returns whether there may be more to do. The state is in the database
  // alone, so it goes on after a restart.
  absl::StatusOr<bool> Round(const Call& call);

 private:
  absl::StatusOr<bool> Batch(const Call& call, RowId parent);
  absl::StatusOr<int64_t> RemoveSome(events::Tx& tx, size_t child, RowId parent);
  void Publish(events::Tx& tx, const ChildTable& child, RowId parent, const std::vector<Row>& removed) const;
  absl::StatusOr<bool> NoneLeft(events::Tx& tx, RowId parent);
  absl::Status Finish(events::Tx& tx, const Row& parent, DeletionId deletion_id);

  const ReferenceTable& table_;
  const ReferenceSql& sql_;
  events::Outbox& outbox_;
  const std::vector<std::string> relationships_;
  const RemovedRowsMetric removed_;
  std::atomic<RowId> after_ = RowId{};  // the last parent that was looked at
};

}  // namespace crosskey::relation
