// Deleting the rows of a table whose rows are referred to, from within the service and from other ones.
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

// A deleted row is hidden at once, whatever refers to it; it is removed later, its children first. The table's relationships
// from other services are cleared by the event that is published with the hiding. Thread-safe; several may run at once,
// on one or on many processes: each batch locks its rows.
class HiddenRows {
 public:
  HiddenRows(LocalParent parent, events::Outbox& outbox, telemetry::Metrics& metrics);

  // Hides a row that the transaction has locked, and publishes its deletion.
  absl::Status Hide(events::Tx& tx, const Row& row) const;

  // Up to 100 batches, each in a transaction of its own, which removes at most limits::kReclaimBatchRows children of hidden
  // rows, and as many hidden rows without children. A row with more children than that holds up no others: the next batch
  // goes on behind it. Returns whether there may be more to do. The state is in the database alone, so it goes on after a
  // restart.
  absl::StatusOr<bool> Round(const Call& call);

 private:
  absl::StatusOr<bool> Batch(const Call& call);
  absl::StatusOr<RowId> RemoveBatch(events::Tx& tx, RowId after) const;
  absl::StatusOr<RowId> RemoveChildren(events::Tx& tx, const LocalParentSql::Child& child,
                                       const std::vector<RowId>& parents) const;

  const LocalParent parent_;
  const LocalParentSql sql_;
  events::Outbox& outbox_;
  const RemovedRowsMetric removed_;
  std::atomic<RowId> after_ = RowId{};  // the last hidden row that was looked at
};

}  // namespace crosskey::relation
