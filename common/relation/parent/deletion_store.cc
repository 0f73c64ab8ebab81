#include "common/relation/parent/deletion_store.h"

#include "absl/strings/str_cat.h"

namespace crosskey::relation {
namespace {

std::string Columns(const ParentTable& table) {
  return absl::StrCat("deletion_id, ", table.id_column,
                      ", uid, action, state, blocked_reason, create_time, complete_time, traceparent, "
                      "COALESCE((SELECT principal FROM ",
                      table.deletions_table, "_callers c WHERE c.deletion_id = ", table.deletions_table,
                      ".deletion_id), '')");
}

std::optional<ParentRow> ToParent(RowId id, const std::optional<std::tuple<std::string, ParentState, int64_t>>& row) {
  if (!row.has_value()) return std::nullopt;
  const auto& [uid, state, version] = *row;
  return ParentRow{{id, uid}, state, version};
}

std::vector<std::string> RelationshipsOf(const ParentTable& table) {
  std::vector<std::string> names;
  for (const Declaration& declaration : table.references) names.push_back(declaration.relationship);
  return names;
}

const db::Sql kAddRows{"deletion_rows.add",
                       "INSERT INTO deletion_rows (deletion_id, relationship, removed) VALUES (?, ?, ?)"};
const db::Sql kRowsOf{"deletion_rows.of",
                      "SELECT relationship, removed FROM deletion_rows WHERE deletion_id = ? AND relationship IN (?)"};
const db::Sql kPurgeRows{"deletion_rows.purge",
                         "DELETE FROM deletion_rows WHERE deletion_id IN (?) AND relationship IN (?)"};

std::string InState(DeletionState state) { return absl::StrCat("state = ", static_cast<int>(state)); }

}  // namespace

DeletionStore::DeletionStore(const ParentTable& t)
    : relationships_(RelationshipsOf(t)),
      find_parent_{t.table + ".find", absl::StrCat("SELECT uid, state, version FROM ", t.table, " WHERE id = ?")},
      lock_parent_{t.table + ".lock",
                   absl::StrCat("SELECT uid, state, version FROM ", t.table, " WHERE id = ? {update}")},
      set_parent_state_{t.table + ".set_state", absl::StrCat("UPDATE ", t.table, " SET state = ? WHERE id = ?")},
      remove_parent_{t.table + ".remove", absl::StrCat("DELETE FROM ", t.table, " WHERE id = ?")},
      insert_{t.deletions_table + ".insert",
              absl::StrCat(
                  "INSERT INTO ", t.deletions_table, " (", t.id_column,
                  ", uid, action, state, blocked_reason, create_time, traceparent) VALUES (?, ?, ?, ?, '', ?, ?)")},
      insert_caller_{
          t.deletions_table + ".insert_caller",
          absl::StrCat("INSERT INTO ", t.deletions_table, "_callers (deletion_id, principal) VALUES (?, ?)")},
      find_{t.deletions_table + ".find",
            absl::StrCat("SELECT ", Columns(t), " FROM ", t.deletions_table, " WHERE deletion_id = ?")},
      latest_{t.deletions_table + ".latest", absl::StrCat("SELECT ", Columns(t), " FROM ", t.deletions_table, " WHERE ",
                                                          t.id_column, " = ? ORDER BY deletion_id DESC LIMIT 1")},
      decide_{t.deletions_table + ".decide",
              absl::StrCat("UPDATE ", t.deletions_table,
                           " SET state = ?, blocked_reason = ?, complete_time = ? WHERE deletion_id = ? AND ",
                           InState(DeletionState::kIntent))},
      complete_{
          t.deletions_table + ".complete",
          absl::StrCat("UPDATE ", t.deletions_table, " SET state = ", static_cast<int>(DeletionState::kCompleted),
                       ", blocked_reason = '', complete_time = ? WHERE deletion_id = ? AND uid = ? AND state IN (",
                       static_cast<int>(DeletionState::kPending), ", ", static_cast<int>(DeletionState::kReclaiming),
                       ")")},
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
             absl::StrCat("DELETE FROM ", t.deletions_table, " WHERE deletion_id IN (?)")},
      purge_callers_{t.deletions_table + ".purge_callers",
                     absl::StrCat("DELETE FROM ", t.deletions_table, "_callers WHERE deletion_id IN (?)")},
      open_{t.deletions_table + ".open",
            absl::StrCat("SELECT deletion_id, ", t.id_column, ", uid FROM ", t.deletions_table, " WHERE state IN (",
                         static_cast<int>(DeletionState::kPending), ", ", static_cast<int>(DeletionState::kReclaiming),
                         ") AND deletion_id > ? ORDER BY deletion_id LIMIT ?")} {}

absl::StatusOr<std::vector<OpenDeletion>> DeletionStore::Open(db::Connection& connection, DeletionId after,
                                                              int limit) const {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, (connection.Query<DeletionId, RowId, std::string>(open_, after, limit)));
  std::vector<OpenDeletion> open;
  for (const auto& [deletion_id, id, uid] : rows) open.push_back({{id, uid}, deletion_id});
  return open;
}

absl::StatusOr<std::optional<ParentRow>> DeletionStore::FindParent(db::Connection& connection, RowId id) const {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row, (connection.QueryOne<std::string, ParentState, int64_t>(find_parent_, id)));
  return ToParent(id, row);
}

absl::StatusOr<std::optional<ParentRow>> DeletionStore::LockParent(db::Tx& tx, RowId id) const {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row, (tx.QueryOne<std::string, ParentState, int64_t>(lock_parent_, id)));
  return ToParent(id, row);
}

absl::Status DeletionStore::SetParentState(db::Tx& tx, RowId id, ParentState state) const {
  return tx.Execute(set_parent_state_, state, id).status();
}

absl::Status DeletionStore::RemoveParent(db::Tx& tx, RowId id) const { return tx.Execute(remove_parent_, id).status(); }

absl::StatusOr<DeletionId> DeletionStore::Insert(db::Tx& tx, const Row& parent, Action action, int64_t now,
                                                 const std::string& traceparent,
                                                 const std::string& requested_by) const {
  CROSSKEY_ASSIGN_OR_RETURN(
      const int64_t id, tx.Insert(insert_, parent.id, parent.uid, action, DeletionState::kIntent, now, traceparent));
  if (!requested_by.empty()) CROSSKEY_RETURN_IF_ERROR(tx.Execute(insert_caller_, id, requested_by).status());
  return DeletionId{id};
}

absl::StatusOr<std::optional<Deletion>> DeletionStore::FindBy(db::Connection& connection, const db::Sql& sql,
                                                              const db::Argument& id) const {
  CROSSKEY_ASSIGN_OR_RETURN(
      const auto row, (connection.QueryOne<DeletionId, RowId, std::string, Action, DeletionState, std::string, int64_t,
                                           std::optional<int64_t>, std::string, std::string>(sql, id)));
  if (!row.has_value()) return std::nullopt;
  Deletion deletion;
  std::tie(deletion.deletion_id, deletion.parent.id, deletion.parent.uid, deletion.action, deletion.state,
           deletion.blocked_reason, deletion.create_time, deletion.complete_time, deletion.traceparent,
           deletion.requested_by) = *row;
  if (deletion.state != DeletionState::kCompleted) return deletion;
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows,
                            (connection.Query<std::string, int64_t>(kRowsOf, deletion.deletion_id, relationships_)));
  for (const auto& [relationship, removed] : rows) deletion.rows[relationship] = removed;
  return deletion;
}

absl::StatusOr<std::optional<Deletion>> DeletionStore::Find(db::Connection& connection, DeletionId deletion_id) const {
  return FindBy(connection, find_, deletion_id);
}

absl::StatusOr<std::optional<Deletion>> DeletionStore::Latest(db::Connection& connection, RowId parent) const {
  return FindBy(connection, latest_, parent);
}

absl::StatusOr<bool> DeletionStore::Decide(db::Tx& tx, DeletionId deletion_id, DeletionState state,
                                           const std::string& blocked_reason,
                                           std::optional<int64_t> complete_time) const {
  CROSSKEY_ASSIGN_OR_RETURN(const int64_t changed,
                            tx.Execute(decide_, state, blocked_reason, complete_time, deletion_id));
  return changed == 1;
}

absl::StatusOr<bool> DeletionStore::Complete(db::Tx& tx, DeletionId deletion_id, const std::string& uid,
                                             int64_t now) const {
  CROSSKEY_ASSIGN_OR_RETURN(const int64_t changed, tx.Execute(complete_, now, deletion_id, uid));
  return changed == 1;
}

absl::Status DeletionStore::SetRows(db::Tx& tx, DeletionId deletion_id, const RowCounts& rows) const {
  std::vector<std::vector<db::Argument>> counts;
  for (const std::string& relationship : relationships_) {
    const auto found = rows.find(relationship);
    if (found != rows.end()) counts.push_back({deletion_id, relationship, found->second});
  }
  return counts.empty() ? absl::OkStatus() : tx.ExecuteRows(kAddRows, counts).status();
}

absl::Status DeletionStore::SetBlocked(db::Tx& tx, DeletionId deletion_id, const std::string& reason) const {
  return tx.Execute(set_blocked_, reason, deletion_id).status();
}

absl::StatusOr<std::optional<int64_t>> DeletionStore::OldestUnfinished(db::Connection& connection) const {
  std::optional<int64_t> oldest;
  // Each state is queried alone, because that reads one entry of an index. One query for all would have to sort.
  for (const DeletionState state : {DeletionState::kIntent, DeletionState::kPending, DeletionState::kReclaiming}) {
    CROSSKEY_ASSIGN_OR_RETURN(const auto row, connection.QueryOne<int64_t>(oldest_, state));
    if (row.has_value() && (!oldest.has_value() || std::get<0>(*row) < *oldest)) oldest = std::get<0>(*row);
  }
  return oldest;
}

absl::StatusOr<std::vector<DeletionId>> DeletionStore::StaleIntents(db::Connection& connection, int64_t before,
                                                                    int limit) const {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, connection.Query<DeletionId>(stale_, before, limit));
  std::vector<DeletionId> ids;
  for (const auto& [id] : rows) ids.push_back(id);
  return ids;
}

absl::StatusOr<int64_t> DeletionStore::Purge(db::Tx& tx, int64_t before, int limit) const {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, tx.Query<DeletionId>(ended_, before, limit));
  std::vector<DeletionId> ids;
  for (const auto& [id] : rows) ids.push_back(id);
  if (ids.empty()) return 0;
  CROSSKEY_RETURN_IF_ERROR(tx.Execute(kPurgeRows, ids, relationships_).status());
  CROSSKEY_RETURN_IF_ERROR(tx.Execute(purge_callers_, ids).status());
  return tx.Execute(purge_, ids);
}

}  // namespace crosskey::relation
