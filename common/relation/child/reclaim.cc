#include "common/relation/child/reclaim.h"

#include "common/relation/row_events.h"
#include "common/status/errors.h"
#include "common/status/limits.h"
#include "common/telemetry/log.h"

namespace crosskey::relation {
namespace {

constexpr int kParentsPerRound = 100;

std::vector<std::string> RelationshipsOf(const ReferenceTable& table) {
  std::vector<std::string> names;
  for (const ChildTable& child : table.children) names.push_back(child.declaration.relationship);
  return names;
}

}  // namespace

Reclaim::Reclaim(const ReferenceTable& table, const ReferenceSql& sql, events::Outbox& outbox,
                 telemetry::Metrics& metrics)
    : table_(table),
      sql_(sql),
      outbox_(outbox),
      relationships_(RelationshipsOf(table)),
      removed_(metrics, relationships_) {}

absl::StatusOr<bool> Reclaim::Round(const Call& call) {
  const RowId after = after_;
  CROSSKEY_ASSIGN_OR_RETURN(const auto parents, outbox_.database().Read(call, [&](db::Connection& connection) {
    return connection.Query<RowId>(sql_.reclaimable, after, kParentsPerRound);
  }));
  // A parent may have to wait until HiddenRows has removed its child rows. So that it does not hold up the parents
  // behind it, the next round begins behind this page.
  const bool first_page = after == RowId{};
  const bool last_page = parents.size() < kParentsPerRound;
  after_ = last_page ? RowId{} : std::get<0>(parents.back());
  bool more = !last_page || !first_page;
  absl::Status result;
  for (const auto& [id] : parents) {
    CROSSKEY_RETURN_IF_ERROR(call.Check());
    const absl::StatusOr<bool> unfinished = Batch(call, id);
    // A parent whose batch fails must not hold up the others.
    result.Update(unfinished.status());
    more = more || (unfinished.ok() && *unfinished);
  }
  CROSSKEY_RETURN_IF_ERROR(result);
  return more;
}

// Returns whether rows were removed: then there may be more of them.
absl::StatusOr<bool> Reclaim::Batch(const Call& call, RowId parent) {
  return outbox_.Transact(call, "reclaim", [&](events::Tx& tx) -> absl::StatusOr<bool> {
    CROSSKEY_ASSIGN_OR_RETURN(
        const auto row,
        (tx.db().QueryOne<std::string, ReferenceState, DeletionId, DeletionId, std::string>(sql_.lock, parent)));
    if (!row.has_value()) return false;  // another process has finished it
    const auto& [uid, state, refused_through, deletion_id, traceparent] = *row;
    tx.set_traceparent(traceparent);
    if (state != ReferenceState::kReclaiming) return false;
    for (size_t child = 0; child < table_.children.size(); ++child) {
      CROSSKEY_ASSIGN_OR_RETURN(const int64_t removed, RemoveSome(tx, child, parent));
      if (removed > 0) return true;
    }
    // Checked in the transaction that removes the reference row and reports that: else the report could come too early,
    // or never.
    CROSSKEY_ASSIGN_OR_RETURN(const bool none_left, NoneLeft(tx, parent));
    if (none_left) CROSSKEY_RETURN_IF_ERROR(Finish(tx, {parent, uid}, deletion_id));
    return false;
  });
}

absl::StatusOr<int64_t> Reclaim::RemoveSome(events::Tx& tx, size_t child, RowId parent) {
  const ChildTable& table = table_.children[child];
  const ChildSql& sql = sql_.children[child];
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows,
                            (tx.db().Query<RowId, std::string>(sql.batch, parent, limits::kReclaimBatchRows)));
  if (rows.empty()) return 0;
  std::vector<RowId> ids;
  std::vector<Row> removed;
  for (const auto& [id, uid] : rows) {
    ids.push_back(id);
    removed.push_back({id, uid});
  }
  if (table.options.before_removal) CROSSKEY_RETURN_IF_ERROR(table.options.before_removal(tx.db(), ids));
  // `changed` is less than the size of the batch if another parent of some rows was deleted as well and its reclaim has
  // removed them first.
  CROSSKEY_ASSIGN_OR_RETURN(const int64_t changed, tx.db().Execute(sql.remove, ids));
  const std::string& relationship = table.declaration.relationship;
  CROSSKEY_RETURN_IF_ERROR(AddReclaimedRows(tx.db(), parent, relationship, changed));
  removed_.CountOnCommit(tx.db(), relationship, changed);
  Publish(tx, table, parent, removed);
  return static_cast<int64_t>(ids.size());
}

// Publishes the `deleted` event of the child's type for the rows that were removed or hidden, or, with SET NULL, one
// `updated` event for each row that has lost its reference. Publishes nothing if the event is not declared.
void Reclaim::Publish(events::Tx& tx, const ChildTable& child, RowId parent, const std::vector<Row>& removed) const {
  const Declaration& declaration = child.declaration;
  if (declaration.on_delete != Action::kSetNull) {
    if (child.events.deleted == nullptr) return;
    const std::string subject = errors::ResourceName(table_.parent_type, parent);
    for (auto& event : MakeDeleted(*child.events.deleted, subject, removed, {})) tx.Append(std::move(event));
    return;
  }
  if (child.events.updated == nullptr) return;
  for (const Row& row : removed) {
    tx.Append(MakeUpdated(*child.events.updated, errors::ResourceName(declaration.child_type, row.id), row,
                          {declaration.column}));
  }
}

// The reclaim only hides child rows that are parents themselves. They refer to the reference row until HiddenRows has
// removed them, so it has to stay until then.
absl::StatusOr<bool> Reclaim::NoneLeft(events::Tx& tx, RowId parent) {
  for (size_t child = 0; child < table_.children.size(); ++child) {
    if (!table_.children[child].is_parent) continue;
    CROSSKEY_ASSIGN_OR_RETURN(const auto left, tx.db().QueryOne<RowId>(sql_.children[child].left, parent));
    if (left.has_value()) return false;
  }
  return true;
}

absl::Status Reclaim::Finish(events::Tx& tx, const Row& parent, DeletionId deletion_id) {
  CROSSKEY_ASSIGN_OR_RETURN(RowCounts rows, TakeReclaimedRows(tx.db(), parent.id, relationships_));
  CROSSKEY_RETURN_IF_ERROR(tx.db().Execute(sql_.remove, parent.id).status());
  const std::string name = errors::ResourceName(table_.parent_type, parent.id);
  if (table_.events.reclaimed != nullptr) {
    tx.Append(
        MakeReclaimed(*table_.events.reclaimed, name, table_.parent_type, {deletion_id, parent, std::move(rows)}));
  }
  tx.OnCommit([name, traceparent = tx.traceparent()] {
    log::Debug("nothing refers to a deleted parent any more", {{"parent", name}, {"traceparent", traceparent}});
  });
  return absl::OkStatus();
}

}  // namespace crosskey::relation
