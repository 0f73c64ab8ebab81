#include "common/relation/hidden_rows.h"

#include <algorithm>
#include <limits>

#include "common/status/limits.h"

namespace crosskey::relation {
namespace {

// As many as Reclaim has, so that rows are not hidden faster than they are removed.
constexpr int kBatchesPerRound = 100;

}  // namespace

absl::StatusOr<bool> HiddenRows::Round(const Call& call) {
  // The usual case costs no transaction.
  bool more = false;
  CROSSKEY_RETURN_IF_ERROR(outbox_.database().Read(call, [&](db::Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const auto row, connection.QueryOne<int64_t>(sql_.any));
    more = row.has_value();
    return absl::OkStatus();
  }));
  for (int i = 0; more && i < kBatchesPerRound; ++i) {
    CROSSKEY_RETURN_IF_ERROR(call.Check());
    CROSSKEY_ASSIGN_OR_RETURN(more, Batch(call));
  }
  return more;
}

absl::StatusOr<bool> HiddenRows::Batch(const Call& call) {
  const int64_t after = after_;
  int64_t next = 0;
  CROSSKEY_RETURN_IF_ERROR(outbox_.Transact(call, "reclaim.hidden", [&](events::Tx& tx) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const auto rows, tx.db().Query<int64_t>(sql_.hidden, after, limits::kReclaimBatchRows));
    std::vector<int64_t> parents;
    for (const auto& [id] : rows) parents.push_back(id);
    next = parents.size() == limits::kReclaimBatchRows ? parents.back() : 0;
    for (const LocalParentSql::Child& child : sql_.children) {
      if (parents.empty()) return absl::OkStatus();
      CROSSKEY_ASSIGN_OR_RETURN(const int64_t first_with_more, RemoveChildren(tx, child, parents));
      // Ascending: those before it have no children any more.
      const auto with_more = std::lower_bound(parents.begin(), parents.end(), first_with_more);
      if (with_more != parents.end()) next = *with_more;
      parents.erase(with_more, parents.end());
    }
    if (parents.empty()) return absl::OkStatus();
    return tx.db().Execute(sql_.remove, parents).status();
  }));
  after_ = next;
  return after != 0 || next != 0;
}

// Returns the first of the parents that may have more children.
absl::StatusOr<int64_t> HiddenRows::RemoveChildren(events::Tx& tx, const LocalParentSql::Child& child,
                                                   const std::vector<int64_t>& parents) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows,
                            (tx.db().Query<int64_t, int64_t>(child.batch, parents, limits::kReclaimBatchRows)));
  std::vector<int64_t> ids;
  for (const auto& [id, parent] : rows) ids.push_back(id);
  if (!ids.empty()) {
    CROSSKEY_RETURN_IF_ERROR(tx.db().Execute(child.remove, ids).status());
    tx.OnCommit([this, &child, count = ids.size()] {
      removed_.Add({{"relationship", child.relationship}}).Increment(static_cast<double>(count));
    });
  }
  const bool all = rows.size() < limits::kReclaimBatchRows;
  return all ? std::numeric_limits<int64_t>::max() : std::get<1>(rows.back());
}

}  // namespace crosskey::relation
