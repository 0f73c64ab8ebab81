// Removes what referred to deleted parents.
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

// Thread-safe. Several rounds may run at once, in one or in many processes, because each batch locks its reference row.
class Reclaim {
 public:
  // `has_calls`: see Pace.
  Reclaim(const ReferenceTable& table, const ReferenceSql& sql, events::Outbox& outbox, telemetry::Metrics& metrics,
          std::function<bool()> has_calls);

  // Takes at most 100 deleted parents by ascending id, and removes one batch of the child rows of each, at most
  // limits::kReclaimBatchRows, in a transaction of its own. The next round goes on with the parents behind them. Pace
  // says how large a batch is, and rests after each. Returns whether there may be more to do. After a restart it goes
  // on, because what has to be removed is in the database.
  absl::StatusOr<bool> Round(const Call& call);

 private:
  // What a batch has done.
  struct Done {
    int rows = 0;
    bool may_have_more = false;  // child rows may be left, or hidden rows have to be removed before the parent
    absl::Time locked;           // when it had the lock of its reference row
  };
  absl::StatusOr<Done> Batch(const Call& call, RowId parent);
  absl::StatusOr<Done> RemoveBatch(events::Tx& tx, RowId parent, int limit);
  absl::StatusOr<int> RemoveSome(events::Tx& tx, size_t child, RowId parent, int limit, RowCounts& removed);
  void Publish(events::Tx& tx, const ChildTable& child, RowId parent, const std::vector<Row>& removed) const;
  absl::StatusOr<bool> NoneLeft(events::Tx& tx, RowId parent);
  absl::Status Finish(events::Tx& tx, const Row& parent, DeletionId deletion_id, const RowCounts& removed);

  const ReferenceTable& table_;
  const ReferenceSql& sql_;
  events::Outbox& outbox_;
  const std::vector<std::string> relationships_;
  const RemovedRowsMetric removed_;
  Pace pace_;
  std::atomic<RowId> after_ = RowId{};  // the next round goes on behind this parent
};

}  // namespace crosskey::relation
