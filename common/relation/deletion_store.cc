#include "common/relation/deletion_store.h"

#include "absl/strings/str_cat.h"
#include "common/fault/fault.h"

namespace crosskey::relation {
namespace {

std::string Columns(const ParentTable& table) {
  return absl::StrCat("deletion_id, ", table.id_column,
                      ", uid, action, state, blocked_reason, create_time, complete_time, traceparent");
}

std::optional<Parent> ToParent(int64_t id, const std::optional<std::tuple<std::string, int64_t, int64_t>>& row) {
  if (!row.has_value()) return std::nullopt;
  const auto& [uid, state, version] = *row;
  return Parent{id, uid, static_cast<ParentState>(state), version};
}

std::string InState(DeletionState state) { return absl::StrCat("state = ", static_cast<int>(state)); }

}  // namespace

DeletionStore::DeletionStore(const ParentTable& t)
    : removed_columns_(t.removed_columns),
      find_parent_{t.table + ".find", absl::StrCat("SELECT uid, state, version FROM ", t.table, " WHERE id = ?")},
      lock_parent_{t.table + ".lock",
                   absl::StrCat("SELECT uid, state, version FROM ", t.table, " WHERE id = ? {update}")},
      set_parent_state_{t.table + ".set_state", absl::StrCat("UPDATE ", t.table, " SET state = ? WHERE id = ?")},
      remove_parent_{t.table + ".remove", absl::StrCat("DELETE FROM ", t.table, " WHERE id = ?")},
      insert_{t.deletions_table + ".insert",
              absl::StrCat(
                  "INSERT INTO ", t.deletions_table, " (", t.id_column,
                  ", uid, action, state, blocked_reason, create_time, traceparent) VALUES (?, ?, ?, ?, '', ?, ?)")},
      find_{t.deletions_table + ".find",
            absl::StrCat("SELECT ", Columns(t), " FROM ", t.deletions_table, " WHERE deletion_id = ?")},
      latest_{t.deletions_table + ".latest", absl::StrCat("SELECT ", Columns(t), " FROM ", t.deletions_table, " WHERE ",
                                                          t.id_column, " = ? ORDER BY deletion_id DESC LIMIT 1")},
      decide_{t.deletions_table + ".decide",
              absl::StrCat("UPDATE ", t.deletions_table,
                           " SET state = ?, blocked_reason = ?, complete_time = ? WHERE deletion_id = ?",
                           fault::Without(fault::Guard::kIntentOnly) ? "" : " AND " + InState(DeletionState::kIntent))},
      complete_{t.deletions_table + ".complete",
                absl::StrCat("UPDATE ", t.deletions_table, " SET state = ", static_cast<int>(DeletionState::kCompleted),
                             ", blocked_reason = '', complete_time = ? WHERE deletion_id = ? AND state IN (",
                             static_cast<int>(DeletionState::kPending), ", ",
                             static_cast<int>(DeletionState::kReclaiming), ")")},
      set_blocked_{t.deletions_table + ".set_blocked",
                   absl::StrCat("UPDATE ", t.deletions_table, " SET blocked_reason = ? WHERE deletion_id = ? AND ",
                                InState(DeletionState::kIntent))},
      oldest_{t.deletions_table + ".oldest", absl::StrCat("SELECT create_time FROM ", t.deletions_table,
                                                          " WHERE state = ? ORDER BY create_time LIMIT 1")},
      stale_{t.deletions_table + ".stale",
             absl::StrCat("SELECT deletion_id FROM ", t.deletions_table, " WHERE ", InState(DeletionState::kIntent),
                          " AND create_time < ? ORDER BY create_time LIMIT ?")},
      ended_{t.deletions_table + ".ended",
             absl::StrCat("SELECT deletion_id FROM ", t.deletions_table, " WHERE state IN (",
                          static_cast<int>(DeletionState::kRefused), ", ", static_cast<int>(DeletionState::kCompleted),
                          ") AND complete_time < ? LIMIT ?")},
      purge_{t.deletions_table + ".purge",
             absl::StrCat("DELETE FROM ", t.deletions_table, " WHERE deletion_id IN (?)")} {
  for (const RemovedColumn& column : removed_columns_) {
    set_rows_[column.relationship] = {
        absl::StrCat(t.deletions_table, ".set_", column.column),
        absl::StrCat("UPDATE ", t.deletions_table, " SET ", column.column, " = ? WHERE deletion_id = ?")};
    get_rows_[column.relationship] = {
        absl::StrCat(t.deletions_table, ".get_", column.column),
        absl::StrCat("SELECT ", column.column, " FROM ", t.deletions_table, " WHERE deletion_id = ?")};
  }
}

absl::StatusOr<std::optional<Parent>> DeletionStore::FindParent(db::Connection& connection, int64_t id) const {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row, (connection.QueryOne<std::string, int64_t, int64_t>(find_parent_, id)));
  return ToParent(id, row);
}

absl::StatusOr<std::optional<Parent>> DeletionStore::LockParent(db::Tx& tx, int64_t id) const {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row, (tx.QueryOne<std::string, int64_t, int64_t>(lock_parent_, id)));
  return ToParent(id, row);
}

absl::Status DeletionStore::SetParentState(db::Tx& tx, int64_t id, ParentState state) const {
  return tx.Execute(set_parent_state_, static_cast<int64_t>(state), id).status();
}

absl::Status DeletionStore::RemoveParent(db::Tx& tx, int64_t id) const {
  return tx.Execute(remove_parent_, id).status();
}

absl::StatusOr<int64_t> DeletionStore::Insert(db::Tx& tx, const Parent& parent, Action action, int64_t now,
                                              const std::string& traceparent) const {
  return tx.Insert(insert_, parent.id, parent.uid, static_cast<int64_t>(action),
                   static_cast<int64_t>(DeletionState::kIntent), now, traceparent);
}

absl::StatusOr<std::optional<Deletion>> DeletionStore::FindBy(db::Connection& connection, const db::Sql& sql,
                                                              int64_t id) const {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row,
                            (connection.QueryOne<int64_t, int64_t, std::string, int64_t, int64_t, std::string, int64_t,
                                                 std::optional<int64_t>, std::string>(sql, id)));
  if (!row.has_value()) return std::nullopt;
  Deletion deletion;
  int64_t action = 0;
  int64_t state = 0;
  std::tie(deletion.deletion_id, deletion.parent_id, deletion.parent_uid, action, state, deletion.blocked_reason,
           deletion.create_time, deletion.complete_time, deletion.traceparent) = *row;
  deletion.action = static_cast<Action>(action);
  deletion.state = static_cast<DeletionState>(state);
  if (deletion.state != DeletionState::kCompleted) return deletion;
  for (const auto& [relationship, get] : get_rows_) {
    CROSSKEY_ASSIGN_OR_RETURN(const auto rows, connection.QueryOne<int64_t>(get, deletion.deletion_id));
    if (rows.has_value()) deletion.rows[relationship] = std::get<0>(*rows);
  }
  return deletion;
}

absl::StatusOr<std::optional<Deletion>> DeletionStore::Find(db::Connection& connection, int64_t deletion_id) const {
  return FindBy(connection, find_, deletion_id);
}

absl::StatusOr<std::optional<Deletion>> DeletionStore::Latest(db::Connection& connection, int64_t parent_id) const {
  return FindBy(connection, latest_, parent_id);
}

absl::StatusOr<bool> DeletionStore::Decide(db::Tx& tx, int64_t deletion_id, DeletionState state,
                                           const std::string& blocked_reason,
                                           std::optional<int64_t> complete_time) const {
  CROSSKEY_ASSIGN_OR_RETURN(const int64_t changed, tx.Execute(decide_, static_cast<int64_t>(state), blocked_reason,
                                                              complete_time, deletion_id));
  return changed == 1;
}

absl::StatusOr<bool> DeletionStore::Complete(db::Tx& tx, int64_t deletion_id, int64_t now) const {
  CROSSKEY_ASSIGN_OR_RETURN(const int64_t changed, tx.Execute(complete_, now, deletion_id));
  return changed == 1;
}

absl::Status DeletionStore::SetRows(db::Tx& tx, int64_t deletion_id, const std::map<std::string, int64_t>& rows) const {
  for (const auto& [relationship, count] : rows) {
    const auto set = set_rows_.find(relationship);
    if (set == set_rows_.end()) continue;
    CROSSKEY_RETURN_IF_ERROR(tx.Execute(set->second, count, deletion_id).status());
  }
  return absl::OkStatus();
}

absl::Status DeletionStore::SetBlocked(db::Tx& tx, int64_t deletion_id, const std::string& reason) const {
  return tx.Execute(set_blocked_, reason, deletion_id).status();
}

absl::StatusOr<std::optional<int64_t>> DeletionStore::OldestUnfinished(db::Connection& connection) const {
  std::optional<int64_t> oldest;
  // One state after the other: each is the first entry of an index, together they would be a sort.
  for (const DeletionState state : {DeletionState::kIntent, DeletionState::kPending, DeletionState::kReclaiming}) {
    CROSSKEY_ASSIGN_OR_RETURN(const auto row, connection.QueryOne<int64_t>(oldest_, static_cast<int64_t>(state)));
    if (row.has_value() && (!oldest.has_value() || std::get<0>(*row) < *oldest)) oldest = std::get<0>(*row);
  }
  return oldest;
}

absl::StatusOr<std::vector<int64_t>> DeletionStore::StaleIntents(db::Connection& connection, int64_t before,
                                                                 int limit) const {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, connection.Query<int64_t>(stale_, before, limit));
  std::vector<int64_t> ids;
  for (const auto& [id] : rows) ids.push_back(id);
  return ids;
}

absl::StatusOr<int64_t> DeletionStore::Purge(db::Tx& tx, int64_t before, int limit) const {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, tx.Query<int64_t>(ended_, before, limit));
  std::vector<int64_t> ids;
  for (const auto& [id] : rows) ids.push_back(id);
  if (ids.empty()) return 0;
  return tx.Execute(purge_, ids);
}

}  // namespace crosskey::relation
