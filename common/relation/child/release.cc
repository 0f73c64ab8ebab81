#include "common/relation/child/release.h"

#include <algorithm>

#include "common/db/sql_error.h"
#include "common/fault/fault.h"
#include "common/relation/child/guard.h"
#include "common/status/limits.h"

namespace crosskey::relation {
namespace {

absl::StatusOr<errors::Referencing> Count(db::Connection& connection, const ChildSql& sql, const ChildTable& child,
                                          RowId parent, int64_t limit) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row, connection.QueryOne<int64_t>(sql.count, parent, limit + 1));
  const int64_t rows = row.has_value() ? std::get<0>(*row) : 0;
  return errors::Referencing{child.declaration.relationship, std::min(rows, limit), rows > limit};
}

Action ActionOf(const ChildTable& child, const ReleaseRequest& request) {
  const auto found = request.overrides.find(child.declaration.relationship);
  return found == request.overrides.end() ? child.declaration.on_delete : found->second;
}

}  // namespace

absl::Status Release::CheckOverrides(const ReleaseRequest& request) const {
  for (const auto& [relationship, action] : request.overrides) {
    const bool known =
        std::any_of(table_.children.begin(), table_.children.end(),
                    [&name = relationship](const auto& child) { return child.declaration.relationship == name; });
    // Were an unknown override ignored, the declared action could apply in place of the RESTRICT that was asked for.
    if (!known) return errors::InvalidField("overrides.relationship", "is not stored by this service: " + relationship);
  }
  return absl::OkStatus();
}

absl::StatusOr<ReleaseAnswer> Release::Run(const Call& call, const ReleaseRequest& request) {
  CROSSKEY_RETURN_IF_ERROR(CheckOverrides(request));
  if (request.validate_only) {
    return outbox_.database().Read(call, [&](db::Connection& connection) { return Preview(connection, request); });
  }
  return outbox_.Transact(call, "release", [&](events::Tx& tx) { return Decide(tx, request); });
}

absl::StatusOr<ReleaseAnswer> Release::Preview(db::Connection& connection, const ReleaseRequest& request) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row, connection.QueryOne<std::string>(sql_.look, request.parent.id));
  if (row.has_value()) CROSSKEY_RETURN_IF_ERROR(CheckUid(table_, request.parent, std::get<0>(*row)));
  CROSSKEY_ASSIGN_OR_RETURN(std::vector<errors::Referencing> refusing, Refusing(connection, request));
  if (!refusing.empty()) return ReleaseAnswer{false, std::move(refusing)};
  ReleaseAnswer answer{true, {}};
  if (request.without_counts) return answer;
  for (size_t i = 0; i < table_.children.size(); ++i) {
    CROSSKEY_ASSIGN_OR_RETURN(errors::Referencing count, Count(connection, sql_.children[i], table_.children[i],
                                                               request.parent.id, limits::kPreviewRowsCounted));
    answer.counts.push_back(std::move(count));
  }
  return answer;
}

absl::StatusOr<Release::Reference> Release::LockOrInsert(events::Tx& tx, const ReleaseRequest& request) {
  // The fence comes first, because the checkpoint is locked before reference rows everywhere.
  CROSSKEY_ASSIGN_OR_RETURN(const Fence fence, LockFence(tx.db(), table_.feed, request.parent.id));
  CROSSKEY_RETURN_IF_ERROR(fence.CheckHistory());
  // While a repair goes on, its list may make a row ACTIVE that was released meanwhile.
  if (fence.state == events::HistoryState::kRepairing) return errors::Conflict();
  // A release of before a repair, for which what was refused before has been forgotten.
  if (!fence.IsOf(request.feed_id)) return errors::Conflict();
  const bool passes = fence.Passes(request.feed_id, request.as_of_sequence);
  CROSSKEY_RETURN_IF_ERROR(LockReferences(tx.db(), table_, {request.parent.id}));
  CROSSKEY_ASSIGN_OR_RETURN(const auto found,
                            (tx.db().QueryOne<std::string, ReferenceState, DeletionId, DeletionId, std::string>(
                                sql_.lock, request.parent.id)));
  if (found.has_value()) {
    const auto& [uid, state, refused_through, deletion_id, traceparent] = *found;
    CROSSKEY_RETURN_IF_ERROR(CheckUid(table_, request.parent, uid));
    // The row of a deletion that the sender has lost is about to be removed, and then nothing would be released.
    if (state == ReferenceState::kReclaiming && deletion_id != request.deletion_id) return errors::Conflict();
    return Reference{state, refused_through};
  }
  if (!passes) return errors::Conflict();
  const absl::Status inserted =
      tx.db().Execute(sql_.insert, request.parent.id, request.parent.uid, ReferenceState::kActive).status();
  if (db::SqlErrorOf(inserted) == db::SqlError::kDuplicate) {
    // Another transaction has added the row since it was looked for. The error makes this one run again.
    return db::MakeSqlError(db::SqlError::kRetry, sql_.insert.name, "added by another transaction");
  }
  CROSSKEY_RETURN_IF_ERROR(inserted);
  return Reference{};
}

absl::StatusOr<ReleaseAnswer> Release::Decide(events::Tx& tx, const ReleaseRequest& request) {
  CROSSKEY_ASSIGN_OR_RETURN(const Reference reference, LockOrInsert(tx, request));
  if (reference.state != ReferenceState::kActive) return ReleaseAnswer{true, {}};
  CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kReleaseLocked));
  // The rows are counted after the exclusive lock was taken: no writer holds the reference, and none can get it.
  CROSSKEY_ASSIGN_OR_RETURN(std::vector<errors::Referencing> refusing, Refusing(tx.db(), request));
  if (request.deletion_id <= reference.refused_through) return ReleaseAnswer{false, std::move(refusing)};
  if (!refusing.empty()) {
    CROSSKEY_RETURN_IF_ERROR(tx.db().Execute(sql_.refuse, request.deletion_id, request.parent.id).status());
    return ReleaseAnswer{false, std::move(refusing)};
  }
  CROSSKEY_RETURN_IF_ERROR(
      tx.db()
          .Execute(sql_.release, ReferenceState::kReleased, request.deletion_id, tx.traceparent(), request.parent.id)
          .status());
  return ReleaseAnswer{true, {}};
}

absl::StatusOr<std::vector<errors::Referencing>> Release::Refusing(db::Connection& connection,
                                                                   const ReleaseRequest& request) {
  std::vector<errors::Referencing> refusing;
  for (size_t i = 0; i < table_.children.size(); ++i) {
    const ChildTable& child = table_.children[i];
    if (ActionOf(child, request) != Action::kRestrict) continue;
    CROSSKEY_ASSIGN_OR_RETURN(errors::Referencing count, Count(connection, sql_.children[i], child, request.parent.id,
                                                               limits::kRestrictedRowsCounted));
    if (count.rows > 0) refusing.push_back(std::move(count));
  }
  return refusing;
}

}  // namespace crosskey::relation
