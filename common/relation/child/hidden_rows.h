// Deletes rows of a table that other rows refer to, in the same service and in others.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/events/outbox.h"
#include "common/relation/child/pace.h"
#include "common/relation/child/reference_sql.h"
#include "common/relation/child/reference_table.h"
#include "common/relation/child/removed_rows.h"

namespace crosskey::relation {

// A deleted row is hidden at once, whatever refers to it. It is removed later, after its children in this service.
// Other services deal with their rows that refer to it when they consume the event that Hide publishes.
//
// Thread-safe. Several rounds may run at once, in one or in many processes, because each batch locks its rows.
class HiddenRows {
 public:
  // `has_calls`: see Pace.
  HiddenRows(LocalParent parent, events::Outbox& outbox, telemetry::Metrics& metrics,
             std::function<bool()> has_calls = nullptr);

  // Hides a row that the transaction has locked, and publishes its deletion.
  absl::Status Hide(events::Tx& tx, const Row& row) const;

  // Runs up to 100 batches, each in a transaction of its own. A batch removes at most limits::kReclaimBatchRows
  // children of hidden rows for each relationship, and at most as many hidden rows that have no children left. A row
  // with more children does not hold up the others: the next batch goes on behind it. Pace says how many rows a batch
  // takes, and rests after each. Returns whether there may be more to do. After a restart it goes on, because what has
  // to be removed is in the database.
  absl::StatusOr<bool> Round(const Call& call);

 private:
  struct Removed {
    int rows = 0;  // of all tables
    RowId next{};  // the row behind which the next batch goes on; 0: it begins with the first hidden row
  };
  absl::StatusOr<bool> Batch(const Call& call);
  absl::StatusOr<Removed> RemoveBatch(events::Tx& tx, RowId after, int limit) const;
  absl::StatusOr<RowId> RemoveChildren(events::Tx& tx, const LocalParentSql::Child& child,
                                       const std::vector<RowId>& parents, int limit, Removed& removed) const;

  const LocalParent parent_;
  const LocalParentSql sql_;
  events::Outbox& outbox_;
  const RemovedRowsMetric removed_;
  Pace pace_;
  std::atomic<RowId> after_ = RowId{};  // the next batch goes on behind this row
};

}  // namespace crosskey::relation
