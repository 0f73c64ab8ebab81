#include "common/relation/child/hidden_rows.h"

#include <algorithm>
#include <limits>

#include "absl/time/clock.h"
#include "common/relation/row_events.h"
#include "common/status/errors.h"

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

HiddenRows::HiddenRows(LocalParent parent, events::Outbox& outbox, telemetry::Metrics& metrics,
                       std::function<bool()> has_calls)
    : parent_(std::move(parent)),
      sql_(parent_),
      outbox_(outbox),
      removed_(metrics, RelationshipsOf(parent_)),
      pace_(std::move(has_calls)) {}

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
  const int limit = pace_.rows();
  absl::Time begun;
  CROSSKEY_ASSIGN_OR_RETURN(const Removed removed, outbox_.Transact(call, "reclaim.hidden", [&](events::Tx& tx) {
    begun = absl::Now();
    return RemoveBatch(tx, after, limit);
  }));
  after_ = removed.next;
  absl::SleepFor(pace_.After(removed.rows, absl::Now() - begun));
  return after != RowId{} || removed.next != RowId{};
}

absl::StatusOr<HiddenRows::Removed> HiddenRows::RemoveBatch(events::Tx& tx, RowId after, int limit) const {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, tx.db().Query<RowId>(sql_.hidden, after, limit));
  std::vector<RowId> parents;
  for (const auto& [id] : rows) parents.push_back(id);
  Removed removed;
  if (static_cast<int>(parents.size()) == limit) removed.next = parents.back();
  for (const LocalParentSql::Child& child : sql_.children) {
    if (parents.empty()) return removed;
    CROSSKEY_ASSIGN_OR_RETURN(const RowId first_with_more, RemoveChildren(tx, child, parents, limit, removed));
    // Children were removed by ascending parent, so the parents before `first_with_more` have none left.
    const auto with_more = std::lower_bound(parents.begin(), parents.end(), first_with_more);
    if (with_more != parents.end()) removed.next = *with_more;
    parents.erase(with_more, parents.end());
  }
  if (!parents.empty()) CROSSKEY_RETURN_IF_ERROR(tx.db().Execute(sql_.remove, parents).status());
  removed.rows += static_cast<int>(parents.size());
  return removed;
}

// Removes at most `limit` children. Returns the first of the parents that may have more, or the highest id if none has.
absl::StatusOr<RowId> HiddenRows::RemoveChildren(events::Tx& tx, const LocalParentSql::Child& child,
                                                 const std::vector<RowId>& parents, int limit, Removed& removed) const {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, (tx.db().Query<RowId, RowId>(child.batch, parents, limit)));
  std::vector<RowId> ids;
  for (const auto& [id, parent] : rows) ids.push_back(id);
  if (!ids.empty()) {
    CROSSKEY_RETURN_IF_ERROR(tx.db().Execute(child.remove, ids).status());
    removed_.CountOnCommit(tx.db(), child.relationship, static_cast<int64_t>(ids.size()));
  }
  removed.rows += static_cast<int>(ids.size());
  const bool all = static_cast<int>(rows.size()) < limit;
  return all ? RowId{std::numeric_limits<int64_t>::max()} : std::get<1>(rows.back());
}

}  // namespace crosskey::relation
