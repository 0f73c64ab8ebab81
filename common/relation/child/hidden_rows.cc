#include "common/relation/child/hidden_rows.h"

#include <algorithm>
#include <limits>

#include "common/relation/row_events.h"
#include "common/status/errors.h"
#include "common/status/limits.h"

namespace crosskey::relation {
namespace {

// A round of Reclaim has as many batches, so rows are not hidden faster than they are removed.
constexpr int kBatchesPerRound = 100;

std::vector<std::string> RelationshipsOf(const LocalParent& parent) {
  std::vector<std::string> names;
  for (const LocalChild& child : parent.children) names.push_back(child.declaration.relationship);
  return names;
}

}  // namespace

HiddenRows::HiddenRows(LocalParent parent, events::Outbox& outbox, telemetry::Metrics& metrics)
    : parent_(std::move(parent)), sql_(parent_), outbox_(outbox), removed_(metrics, RelationshipsOf(parent_)) {}

absl::Status HiddenRows::Hide(events::Tx& tx, const Row& row) const {
  CROSSKEY_RETURN_IF_ERROR(tx.db().Execute(sql_.hide, row.id).status());
  if (parent_.events.deleted == nullptr) return absl::OkStatus();
  for (auto& event : MakeDeleted(*parent_.events.deleted, errors::ResourceName(parent_.type, row.id), {row}, {})) {
    tx.Append(std::move(event));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> HiddenRows::Round(const Call& call) {
  // Usually there is no hidden row. Then this read is all that a round costs.
  CROSSKEY_ASSIGN_OR_RETURN(const auto any, outbox_.database().Read(call, [&](db::Connection& connection) {
    return connection.QueryOne<RowId>(sql_.any);
  }));
  bool more = any.has_value();
  for (int i = 0; more && i < kBatchesPerRound; ++i) {
    CROSSKEY_RETURN_IF_ERROR(call.Check());
    CROSSKEY_ASSIGN_OR_RETURN(more, Batch(call));
  }
  return more;
}

absl::StatusOr<bool> HiddenRows::Batch(const Call& call) {
  const RowId after = after_;
  CROSSKEY_ASSIGN_OR_RETURN(const RowId next, outbox_.Transact(call, "reclaim.hidden",
                                                               [&](events::Tx& tx) { return RemoveBatch(tx, after); }));
  after_ = next;
  return after != RowId{} || next != RowId{};
}

// Returns the row behind which the next batch goes on; 0: it begins with the first hidden row.
absl::StatusOr<RowId> HiddenRows::RemoveBatch(events::Tx& tx, RowId after) const {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, tx.db().Query<RowId>(sql_.hidden, after, limits::kReclaimBatchRows));
  std::vector<RowId> parents;
  for (const auto& [id] : rows) parents.push_back(id);
  RowId next = parents.size() == limits::kReclaimBatchRows ? parents.back() : RowId{};
  for (const LocalParentSql::Child& child : sql_.children) {
    if (parents.empty()) return next;
    CROSSKEY_ASSIGN_OR_RETURN(const RowId first_with_more, RemoveChildren(tx, child, parents));
    // Children were removed by ascending parent, so the parents before `first_with_more` have none left.
    const auto with_more = std::lower_bound(parents.begin(), parents.end(), first_with_more);
    if (with_more != parents.end()) next = *with_more;
    parents.erase(with_more, parents.end());
  }
  if (!parents.empty()) CROSSKEY_RETURN_IF_ERROR(tx.db().Execute(sql_.remove, parents).status());
  return next;
}

// Removes one batch of children. Returns the first of the parents that may have more, or the highest id if none has.
absl::StatusOr<RowId> HiddenRows::RemoveChildren(events::Tx& tx, const LocalParentSql::Child& child,
                                                 const std::vector<RowId>& parents) const {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows,
                            (tx.db().Query<RowId, RowId>(child.batch, parents, limits::kReclaimBatchRows)));
  std::vector<RowId> ids;
  for (const auto& [id, parent] : rows) ids.push_back(id);
  if (!ids.empty()) {
    CROSSKEY_RETURN_IF_ERROR(tx.db().Execute(child.remove, ids).status());
    removed_.CountOnCommit(tx.db(), child.relationship, static_cast<int64_t>(ids.size()));
  }
  const bool all = rows.size() < limits::kReclaimBatchRows;
  return all ? RowId{std::numeric_limits<int64_t>::max()} : std::get<1>(rows.back());
}

}  // namespace crosskey::relation
