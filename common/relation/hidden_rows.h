// Removing the hidden rows of a table whose rows are referred to, from within the service and from other ones.
#pragma once

#include <atomic>

#include "absl/status/statusor.h"
#include "common/events/outbox.h"
#include "common/relation/reference_sql.h"
#include "common/relation/reference_table.h"
#include "common/relation/removed_rows.h"

namespace crosskey::relation {

// A deleted row is hidden at once, whatever refers to it; this removes it, its children first. The table's relationships
// from other services are cleared by the event that was published with the hiding. Thread-safe; several may run at once,
// on one or on many processes: each batch locks its rows.
class HiddenRows {
 public:
  HiddenRows(const LocalParent& parent, events::Outbox& outbox, telemetry::Metrics& metrics)
      : sql_(parent), outbox_(outbox), removed_(RemovedRows(metrics)) {
    for (const LocalParentSql::Child& child : sql_.children) removed_.Add({{"relationship", child.relationship}});
  }

  // Up to 100 batches, each in a transaction of its own, which removes at most limits::kReclaimBatchRows children of hidden
  // rows, and as many hidden rows without children. A row with more children than that holds up no others: the next batch
  // goes on behind it. Returns whether there may be more to do. The state is in the database alone, so it goes on after a restart.
  absl::StatusOr<bool> Round(const Call& call);

 private:
  absl::StatusOr<bool> Batch(const Call& call);
  absl::StatusOr<int64_t> RemoveChildren(events::Tx& tx, const LocalParentSql::Child& child,
                                         const std::vector<int64_t>& parents);

  const LocalParentSql sql_;
  events::Outbox& outbox_;
  prometheus::Family<prometheus::Counter>& removed_;
  std::atomic<int64_t> after_ = 0;  // the last hidden row that was looked at
};

}  // namespace crosskey::relation
