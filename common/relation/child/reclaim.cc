#include "common/relation/child/reclaim.h"

#include "absl/time/clock.h"
#include "common/db/cluster_locks.h"
#include "common/relation/child/guard.h"
#include "common/relation/row_events.h"
#include "common/status/errors.h"
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
                 telemetry::Metrics& metrics, std::function<bool()> has_calls)
    : table_(table),
      sql_(sql),
      outbox_(outbox),
      relationships_(RelationshipsOf(table)),
      removed_(metrics, relationships_),
      pace_(std::move(has_calls)) {}

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
    const absl::StatusOr<Done> done = Batch(call, id);
    // A parent whose batch fails must not hold up the others.
    result.Update(done.status());
    more = more || (done.ok() && done->may_have_more);
  }
  CROSSKEY_RETURN_IF_ERROR(result);
  return more;
}

absl::StatusOr<Reclaim::Done> Reclaim::Batch(const Call& call, RowId parent) {
  const int limit = pace_.rows();
  CROSSKEY_ASSIGN_OR_RETURN(const Done done, outbox_.Transact(call, "reclaim", [&](events::Tx& tx) {
    return RemoveBatch(tx, parent, limit);
  }));
  absl::SleepFor(pace_.After(done.rows, absl::Now() - done.locked));
  return done;
}

absl::StatusOr<Reclaim::Done> Reclaim::RemoveBatch(events::Tx& tx, RowId parent, int limit) {
  CROSSKEY_RETURN_IF_ERROR(LockReferences(tx.db(), table_, {parent}));
  CROSSKEY_ASSIGN_OR_RETURN(
      const auto row,
      (tx.db().QueryOne<std::string, ReferenceState, DeletionId, DeletionId, std::string>(sql_.lock, parent)));
  Done done;
  done.locked = absl::Now();
  if (!row.has_value()) {  // another process has finished it
    CROSSKEY_RETURN_IF_ERROR(db::ForgetInCluster(tx.db(), table_.table, {Value(parent)}));
    return done;
  }
  const auto& [uid, state, refused_through, deletion_id, traceparent] = *row;
  tx.set_traceparent(traceparent);
  if (state != ReferenceState::kReclaiming) return done;
  RowCounts removed;
  for (size_t child = 0; child < table_.children.size() && done.rows < limit; ++child) {
    CROSSKEY_ASSIGN_OR_RETURN(const int rows, RemoveSome(tx, child, parent, limit - done.rows, removed));
    done.rows += rows;
  }
  // Checked in the transaction that removes the reference row and reports that: else the report could come too early,
  // or never.
  bool none_left = false;
  if (done.rows < limit) {
    CROSSKEY_ASSIGN_OR_RETURN(none_left, NoneLeft(tx, parent));
  }
  done.may_have_more = !none_left && done.rows > 0;
  CROSSKEY_RETURN_IF_ERROR(none_left ? Finish(tx, {parent, uid}, deletion_id, removed)
                                     : AddReclaimedRows(tx.db(), parent, removed));
  return done;
}

// Removes at most `limit` rows of one table. Returns how many it found, and adds those that it removed to `removed`.
absl::StatusOr<int> Reclaim::RemoveSome(events::Tx& tx, size_t child, RowId parent, int limit, RowCounts& removed) {
  const ChildTable& table = table_.children[child];
  const ChildSql& sql = sql_.children[child];
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, (tx.db().Query<RowId, std::string, int64_t>(sql.batch, parent, limit)));
  if (rows.empty()) return 0;
  std::vector<RowId> free;  // nothing in this service refers to them
  std::vector<RowId> referred;
  std::vector<Row> all;
  for (const auto& [id, uid, is_referred] : rows) {
    (is_referred != 0 ? referred : free).push_back(id);
    all.push_back({id, uid});
  }
  if (table.options.before_removal) {
    std::vector<RowId> ids;
    for (const Row& row : all) ids.push_back(row.id);
    CROSSKEY_RETURN_IF_ERROR(table.options.before_removal(tx.db(), ids));
  }
  // `changed` is less than the size of the batch if another parent of some rows was deleted as well and its reclaim has
  // removed them first.
  int64_t changed = 0;
  if (!free.empty()) {
    CROSSKEY_ASSIGN_OR_RETURN(const int64_t these, tx.db().Execute(sql.remove, free));
    changed += these;
  }
  if (!referred.empty()) {
    CROSSKEY_ASSIGN_OR_RETURN(const int64_t these, tx.db().Execute(sql.hide, referred));
    changed += these;
  }
  const std::string& relationship = table.declaration.relationship;
  removed[relationship] += changed;
  removed_.CountOnCommit(tx.db(), relationship, changed);
  Publish(tx, table, parent, all);
  return static_cast<int>(all.size());
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

// The reclaim only hides child rows that are referred to. They refer to the reference row until HiddenRows has removed
// them, so it has to stay until then.
absl::StatusOr<bool> Reclaim::NoneLeft(events::Tx& tx, RowId parent) {
  for (size_t child = 0; child < table_.children.size(); ++child) {
    if (!table_.children[child].is_parent) continue;
    CROSSKEY_ASSIGN_OR_RETURN(const auto left, tx.db().QueryOne<RowId>(sql_.children[child].left, parent));
    if (left.has_value()) return false;
  }
  return true;
}

// `removed` is what this transaction has removed.
absl::Status Reclaim::Finish(events::Tx& tx, const Row& parent, DeletionId deletion_id, const RowCounts& removed) {
  CROSSKEY_ASSIGN_OR_RETURN(RowCounts rows, TakeReclaimedRows(tx.db(), parent.id, relationships_));
  for (const auto& [relationship, count] : removed) rows[relationship] += count;
  CROSSKEY_RETURN_IF_ERROR(tx.db().Execute(sql_.remove, parent.id).status());
  CROSSKEY_RETURN_IF_ERROR(db::ForgetInCluster(tx.db(), table_.table, {Value(parent.id)}));
  const std::string name = errors::ResourceName(table_.parent_type, parent.id);
  // A repair gives up rows without a deletion, and nobody waits for their report.
  if (table_.events.reclaimed != nullptr && deletion_id != DeletionId{}) {
    tx.Append(
        MakeReclaimed(*table_.events.reclaimed, name, table_.parent_type, {deletion_id, parent, std::move(rows)}));
  }
  tx.OnCommit([name, traceparent = tx.traceparent()] {
    log::Debug("nothing refers to a deleted parent any more", {{"parent", name}, {"traceparent", traceparent}});
  });
  return absl::OkStatus();
}

}  // namespace crosskey::relation
