#include "common/relation/release.h"

#include <algorithm>

#include "common/db/sql_error.h"
#include "common/fault/fault.h"
#include "common/relation/guard.h"
#include "common/status/limits.h"

namespace crosskey::relation {
namespace {

absl::StatusOr<errors::Referencing> Count(db::Connection& connection, const ChildSql& sql, const ChildTable& child,
                                          int64_t parent_id, int64_t limit) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row, connection.QueryOne<int64_t>(sql.count, parent_id, limit + 1));
  const int64_t rows = row.has_value() ? std::get<0>(*row) : 0;
  return errors::Referencing{child.declaration.relationship, std::min(rows, limit), rows > limit};
}

absl::Status CheckUid(const ReleaseRequest& request, const std::string& uid) {
  if (uid == request.uid) return absl::OkStatus();
  return absl::FailedPreconditionError(errors::ResourceName(request.type, request.id) + " has another uid here");
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
    // Ignoring it could turn a RESTRICT into what is declared.
    if (!known) return errors::InvalidField("overrides.relationship", "is not stored by this service: " + relationship);
  }
  return absl::OkStatus();
}

absl::StatusOr<ReleaseAnswer> Release::Run(const Call& call, const ReleaseRequest& request) {
  CROSSKEY_RETURN_IF_ERROR(CheckOverrides(request));
  ReleaseAnswer answer;
  absl::Status status;
  if (request.validate_only) {
    status = outbox_.database().Read(call, [&](db::Connection& connection) -> absl::Status {
      CROSSKEY_ASSIGN_OR_RETURN(answer, Preview(connection, request));
      return absl::OkStatus();
    });
  } else {
    status = outbox_.Transact(call, "release", [&](events::Tx& tx) -> absl::Status {
      CROSSKEY_ASSIGN_OR_RETURN(answer, Decide(tx, request));
      return absl::OkStatus();
    });
  }
  CROSSKEY_RETURN_IF_ERROR(status);
  return answer;
}

absl::StatusOr<ReleaseAnswer> Release::Preview(db::Connection& connection, const ReleaseRequest& request) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row,
                            (connection.QueryOne<std::string, int64_t, int64_t, int64_t>(sql_.look, request.id)));
  if (row.has_value()) CROSSKEY_RETURN_IF_ERROR(CheckUid(request, std::get<0>(*row)));
  CROSSKEY_ASSIGN_OR_RETURN(std::vector<errors::Referencing> refusing, Refusing(connection, request));
  if (!refusing.empty()) return ReleaseAnswer{false, std::move(refusing)};
  ReleaseAnswer answer{true, {}};
  if (request.without_counts) return answer;
  for (size_t i = 0; i < table_.children.size(); ++i) {
    CROSSKEY_ASSIGN_OR_RETURN(errors::Referencing count, Count(connection, sql_.children[i], table_.children[i],
                                                               request.id, limits::kPreviewRowsCounted));
    answer.counts.push_back(std::move(count));
  }
  return answer;
}

absl::StatusOr<Release::Row> Release::LockOrInsert(events::Tx& tx, const ReleaseRequest& request) {
  // The checkpoint is locked before the reference row, as everywhere.
  CROSSKEY_ASSIGN_OR_RETURN(const bool passes, PassesFence(tx.db(), table_.feed, request.as_of_sequence));
  CROSSKEY_ASSIGN_OR_RETURN(const auto found,
                            (tx.db().QueryOne<std::string, int64_t, int64_t, int64_t, std::string>(
                                fault::Without(fault::Guard::kExclusiveLock) ? sql_.look : sql_.lock, request.id)));
  if (found.has_value()) {
    const auto& [uid, state, refused_through, deletion_id, traceparent] = *found;
    CROSSKEY_RETURN_IF_ERROR(CheckUid(request, uid));
    return Row{uid, static_cast<ReferenceState>(state), refused_through};
  }
  if (!passes) return errors::Conflict();
  const absl::Status inserted =
      tx.db().Execute(sql_.insert, request.id, request.uid, static_cast<int64_t>(ReferenceState::kActive)).status();
  if (db::SqlErrorOf(inserted) == db::SqlError::kDuplicate) {
    // A guarded write has added it since: run the transaction again.
    return db::MakeSqlError(db::SqlError::kRetry, sql_.insert.name, "added by another transaction");
  }
  CROSSKEY_RETURN_IF_ERROR(inserted);
  return Row{request.uid, ReferenceState::kActive, 0};
}

absl::StatusOr<ReleaseAnswer> Release::Decide(events::Tx& tx, const ReleaseRequest& request) {
  CROSSKEY_ASSIGN_OR_RETURN(const Row row, LockOrInsert(tx, request));
  if (row.state != ReferenceState::kActive) return ReleaseAnswer{true, {}};
  CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kReleaseLocked));
  // Counted after the exclusive lock: no writer that holds the reference is left, and none can come.
  CROSSKEY_ASSIGN_OR_RETURN(std::vector<errors::Referencing> refusing, Refusing(tx.db(), request));
  if (request.deletion_id <= row.refused_through && !fault::Without(fault::Guard::kRefusedThrough)) {
    return ReleaseAnswer{false, std::move(refusing)};
  }
  if (!refusing.empty()) {
    CROSSKEY_RETURN_IF_ERROR(tx.db().Execute(sql_.refuse, request.deletion_id, request.id).status());
    return ReleaseAnswer{false, std::move(refusing)};
  }
  CROSSKEY_RETURN_IF_ERROR(tx.db()
                               .Execute(sql_.release, static_cast<int64_t>(ReferenceState::kReleased),
                                        request.deletion_id, tx.traceparent(), request.id)
                               .status());
  return ReleaseAnswer{true, {}};
}

absl::StatusOr<std::vector<errors::Referencing>> Release::Refusing(db::Connection& connection,
                                                                   const ReleaseRequest& request) {
  std::vector<errors::Referencing> refusing;
  for (size_t i = 0; i < table_.children.size(); ++i) {
    const ChildTable& child = table_.children[i];
    if (ActionOf(child, request) != Action::kRestrict) continue;
    CROSSKEY_ASSIGN_OR_RETURN(errors::Referencing count,
                              Count(connection, sql_.children[i], child, request.id, limits::kRestrictedRowsCounted));
    if (count.rows > 0) refusing.push_back(std::move(count));
  }
  return refusing;
}

}  // namespace crosskey::relation
