#include "common/relation/reclaim.h"

#include <prometheus/counter.h>

#include "common/fault/fault.h"
#include "common/status/errors.h"
#include "common/status/limits.h"
#include "common/telemetry/log.h"

namespace crosskey::relation {
namespace {

constexpr int kParentsPerRound = 100;

}  // namespace

absl::StatusOr<bool> Reclaim::Round(const Call& call) {
  std::vector<int64_t> parents;
  CROSSKEY_RETURN_IF_ERROR(outbox_.database().Read(call, [&](db::Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const auto rows,
                              connection.Query<int64_t>(sql_.reclaimable, after_.load(), kParentsPerRound));
    parents.clear();
    for (const auto& [id] : rows) parents.push_back(id);
    return absl::OkStatus();
  }));
  // Some of them may have to wait for their hidden rows, and must not hold up those behind them.
  const bool first_page = after_ == 0;
  const bool last_page = parents.size() < kParentsPerRound;
  after_ = last_page ? 0 : parents.back();
  bool more = !last_page || !first_page;
  absl::Status result;
  for (const int64_t id : parents) {
    CROSSKEY_RETURN_IF_ERROR(call.Check());
    const absl::StatusOr<bool> unfinished = Batch(call, id);
    // One that cannot be removed must not hold up the others.
    result.Update(unfinished.status());
    more = more || (unfinished.ok() && *unfinished);
  }
  CROSSKEY_RETURN_IF_ERROR(result);
  return more;
}

absl::StatusOr<bool> Reclaim::Batch(const Call& call, int64_t parent_id) {
  bool unfinished = false;
  CROSSKEY_RETURN_IF_ERROR(outbox_.Transact(call, "reclaim", [&](events::Tx& tx) -> absl::Status {
    unfinished = false;
    CROSSKEY_ASSIGN_OR_RETURN(
        const auto row, (tx.db().QueryOne<std::string, int64_t, int64_t, int64_t, std::string>(sql_.lock, parent_id)));
    if (!row.has_value()) return absl::OkStatus();  // another process has finished it
    const auto& [uid, state, refused_through, deletion_id, traceparent] = *row;
    tx.set_traceparent(traceparent);
    const bool dropped = static_cast<ReferenceState>(state) == ReferenceState::kReclaiming;
    if (!dropped && !fault::Without(fault::Guard::kReclaimAfterDrop)) return absl::OkStatus();
    for (size_t child = 0; child < table_.children.size(); ++child) {
      CROSSKEY_ASSIGN_OR_RETURN(const int64_t removed, RemoveSome(tx, child, parent_id));
      if (removed == 0) continue;
      unfinished = true;
      return absl::OkStatus();
    }
    // Found in the same transaction that removes the reference row.
    CROSSKEY_ASSIGN_OR_RETURN(const bool none_left, NoneLeft(tx, parent_id));
    if (!none_left) return absl::OkStatus();
    return Finish(tx, parent_id, uid, deletion_id);
  }));
  return unfinished;
}

absl::StatusOr<int64_t> Reclaim::RemoveSome(events::Tx& tx, size_t child, int64_t parent_id) {
  const ChildTable& table = table_.children[child];
  const ChildSql& sql = sql_.children[child];
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows,
                            (tx.db().Query<int64_t, std::string>(sql.batch, parent_id, limits::kReclaimBatchRows)));
  if (rows.empty()) return 0;
  std::vector<int64_t> ids;
  std::vector<Removed> removed;
  for (const auto& [id, uid] : rows) {
    ids.push_back(id);
    removed.push_back({id, uid});
  }
  if (table.before_removal) CROSSKEY_RETURN_IF_ERROR(table.before_removal(tx.db(), ids));
  // Fewer, if another parent of some rows has been deleted as well and took them along.
  CROSSKEY_ASSIGN_OR_RETURN(const int64_t changed, tx.db().Execute(sql.remove, ids));
  CROSSKEY_RETURN_IF_ERROR(tx.db().Execute(sql.add_count, changed, parent_id).status());
  tx.OnCommit([this, changed = changed, &relationship = table.declaration.relationship] {
    removed_.Add({{"relationship", relationship}}).Increment(static_cast<double>(changed));
  });
  if (table.removed_events) {
    for (events::Draft& event : table.removed_events(errors::ResourceName(table_.parent_type, parent_id), removed)) {
      tx.Append(std::move(event));
    }
  }
  return static_cast<int64_t>(ids.size());
}

// Rows that are parents are hidden first; the reference row stays until HiddenRows has removed them.
absl::StatusOr<bool> Reclaim::NoneLeft(events::Tx& tx, int64_t parent_id) {
  for (size_t child = 0; child < table_.children.size(); ++child) {
    if (!table_.children[child].is_parent) continue;
    CROSSKEY_ASSIGN_OR_RETURN(const auto left, tx.db().QueryOne<int64_t>(sql_.children[child].left, parent_id));
    if (left.has_value()) return false;
  }
  return true;
}

absl::Status Reclaim::Finish(events::Tx& tx, int64_t parent_id, const std::string& uid, int64_t deletion_id) {
  Reclaimed reclaimed{deletion_id, parent_id, uid, {}};
  for (size_t child = 0; child < table_.children.size(); ++child) {
    CROSSKEY_ASSIGN_OR_RETURN(const auto count, tx.db().QueryOne<int64_t>(sql_.children[child].counted, parent_id));
    reclaimed.rows[table_.children[child].declaration.relationship] = count.has_value() ? std::get<0>(*count) : 0;
  }
  CROSSKEY_RETURN_IF_ERROR(tx.db().Execute(sql_.remove, parent_id).status());
  if (table_.reclaimed_event) tx.Append(table_.reclaimed_event(reclaimed));
  tx.OnCommit([this, parent_id, traceparent = tx.traceparent()] {
    log::Debug("nothing refers to a deleted parent any more",
               {{"parent", errors::ResourceName(table_.parent_type, parent_id)}, {"traceparent", traceparent}});
  });
  return absl::OkStatus();
}

}  // namespace crosskey::relation
