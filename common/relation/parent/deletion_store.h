// The SQL of deletions on the parent's side, built once from a registration.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/db/connection.h"
#include "common/relation/parent/parent_table.h"
#include "common/relation/repair_peer.h"
#include "common/relation/row.h"

namespace crosskey::relation {

// The numbers are stored in the database. They are those of user.v1.DeletionState.
enum class DeletionState { kNone = 0, kIntent = 1, kRefused = 2, kPending = 3, kReclaiming = 4, kCompleted = 5 };

inline bool IsUnderWay(DeletionState state) {
  return state == DeletionState::kIntent || state == DeletionState::kPending || state == DeletionState::kReclaiming;
}

// One run of the protocol.
struct Deletion {
  DeletionId deletion_id{};
  Row parent;
  Action action = Action::kCascade;  // of the relationship that can be overridden
  DeletionState state = DeletionState::kNone;
  RowCounts rows;  // what was removed, filled once COMPLETED; in a preview what would be
  std::string blocked_reason;
  int64_t create_time = 0;  // microseconds since 1970
  std::optional<int64_t> complete_time;
  std::string traceparent;   // of the call that began it
  std::string requested_by;  // the principal of its caller; empty: nobody was asked who it is
};

// A row that can be deleted, as it is stored.
struct ParentRow {
  Row row;
  ParentState state = ParentState::kActive;
  int64_t version = 0;
};

// Every method runs one or a few statements in the session or transaction that it is given. Times are in microseconds
// since 1970.
class DeletionStore {
 public:
  explicit DeletionStore(const ParentTable& table);

  absl::StatusOr<std::optional<ParentRow>> FindParent(db::Connection& connection, RowId id) const;
  absl::StatusOr<std::optional<ParentRow>> LockParent(db::Tx& tx, RowId id) const;
  absl::Status SetParentState(db::Tx& tx, RowId id, ParentState state) const;
  absl::Status RemoveParent(db::Tx& tx, RowId id) const;

  // Records an INTENT and returns its deletion_id. The parent must be locked, so that the ids of its deletions ascend.
  absl::StatusOr<DeletionId> Insert(db::Tx& tx, const Row& parent, Action action, int64_t now,
                                    const std::string& traceparent, const std::string& requested_by) const;
  absl::StatusOr<std::optional<Deletion>> Find(db::Connection& connection, DeletionId deletion_id) const;
  absl::StatusOr<std::optional<Deletion>> Latest(db::Connection& connection, RowId parent) const;
  // Changes the state from INTENT to `state`. Returns false, and changes nothing, if it is not INTENT any more.
  absl::StatusOr<bool> Decide(db::Tx& tx, DeletionId deletion_id, DeletionState state,
                              const std::string& blocked_reason, std::optional<int64_t> complete_time) const;
  // Changes the state from PENDING or RECLAIMING to COMPLETED. Returns false, and changes nothing, if it is neither, or
  // if the deletion is not of the row with this uid: a report may be of a deletion that is lost, whose id was given
  // again.
  absl::StatusOr<bool> Complete(db::Tx& tx, DeletionId deletion_id, const std::string& uid, int64_t now) const;
  // Returns the deletions that are PENDING or RECLAIMING.
  absl::StatusOr<std::vector<OpenDeletion>> Open(db::Connection& connection, DeletionId after, int limit) const;
  absl::Status SetRows(db::Tx& tx, DeletionId deletion_id, const RowCounts& rows) const;
  absl::Status SetBlocked(db::Tx& tx, DeletionId deletion_id, const std::string& reason) const;
  // Returns when the oldest deletion that is not over was begun; nullopt: all are over.
  absl::StatusOr<std::optional<int64_t>> OldestUnfinished(db::Connection& connection) const;
  // Returns the INTENTs that were begun before `before`, oldest first.
  absl::StatusOr<std::vector<DeletionId>> StaleIntents(db::Connection& connection, int64_t before, int limit) const;
  // Removes records that ended before `before`. Returns how many.
  absl::StatusOr<int64_t> Purge(db::Tx& tx, int64_t before, int limit) const;

 private:
  absl::StatusOr<std::optional<Deletion>> FindBy(db::Connection& connection, const db::Sql& sql,
                                                 const db::Argument& id) const;

  const std::vector<std::string> relationships_;
  const db::Sql find_parent_;
  const db::Sql lock_parent_;
  const db::Sql set_parent_state_;
  const db::Sql remove_parent_;
  const db::Sql insert_;
  const db::Sql insert_caller_;
  const db::Sql find_;
  const db::Sql latest_;
  const db::Sql decide_;
  const db::Sql complete_;
  const db::Sql set_blocked_;
  const db::Sql oldest_;
  const db::Sql stale_;
  const db::Sql ended_;
  const db::Sql purge_;
  const db::Sql purge_callers_;
  const db::Sql open_;
};

}  // namespace crosskey::relation
