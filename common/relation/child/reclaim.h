// Removes what referred to deleted parents.
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

// Thread-safe. Several rounds may run at once, in one or in many processes, because each batch locks its reference row.
class Reclaim {
 public:
  Reclaim(const ReferenceTable& table, const ReferenceSql& sql, events::Outbox& outbox, telemetry::Metrics& metrics);

  // Takes at most 100 deleted parents by ascending id, and removes one batch of the child rows of each, at most
  // limits::kReclaimBatchRows, in a transaction of its own. The next round goes on with the parents behind them.
  // Returns whether there may be more to do. After a restart it goes on, because what has to be removed is in the
  // database.
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
  std::atomic<RowId> after_ = RowId{};  // the next round goes on behind this parent
};

}  // namespace crosskey::relation
