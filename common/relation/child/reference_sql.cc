#include "common/relation/child/reference_sql.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace crosskey::relation {
namespace {

std::string InState(ReferenceState state) { return absl::StrCat("state = ", static_cast<int>(state)); }

std::string OfParent(const ChildTable& child) {
  return absl::StrCat(" FROM ", child.table, " WHERE ", child.declaration.column, " = ?",
                      child.is_parent ? " AND " + InState(ReferenceState::kActive) : "");
}

// The same for a statement that reads columns which the index of the references does not have. With `state = 1` MariaDB
// takes the index by state for that one, or both, and so reads rows of all parents. An expression has no index.
std::string RowsOfParent(const ChildTable& child) {
  return absl::StrCat(
      " FROM ", child.table, " WHERE ", child.declaration.column, " = ?",
      child.is_parent ? absl::StrCat(" AND state + 0 = ", static_cast<int>(ReferenceState::kActive)) : "");
}

std::string Visible(const ChildTable& child) {
  const std::string& condition = child.options.visible_if;
  return absl::StrCat(OfParent(child), condition.empty() ? "" : " AND ", condition);
}

std::string Remove(const ChildTable& child) {
  if (child.declaration.on_delete == Action::kSetNull) {
    return absl::StrCat("UPDATE ", child.table, " SET ", child.declaration.column, " = NULL WHERE id IN (?)");
  }
  return absl::StrCat("DELETE FROM ", child.table, " WHERE id IN (?)");
}

std::string Hide(const ChildTable& child) {
  if (!child.is_parent) return "";
  return absl::StrCat("UPDATE ", child.table, " SET ", InState(ReferenceState::kReclaiming), " WHERE id IN (?)");
}

// Whether rows of this service refer to the row.
std::string IsReferred(const ChildTable& child) {
  std::vector<std::string> any;
  for (const LocalChild& local : child.children) {
    any.push_back(absl::StrCat("EXISTS (SELECT 1 FROM ", local.table, " c WHERE c.", local.declaration.column, " = ",
                               child.table, ".id)"));
  }
  return any.empty() ? "0" : absl::StrJoin(any, " OR ");
}

std::string NameOf(const ChildTable& child, const char* what) {
  return absl::StrCat(child.table, ".", child.declaration.column, ".", what);
}

std::string Columns() { return "uid, state, refused_through, deletion_id, traceparent"; }

}  // namespace

// `batch` reads without a lock: nobody but those who remove them writes rows whose parent is released, and each
// statement after it locks what it changes, in the lock order of the service. For the same reason a row that nothing
// refers to stays so: a write of a row that refers to it holds the reference of its parent as well, which the reclaim
// has locked. With SET NULL the row stays and others may write it meanwhile, so there `batch` locks it.
ChildSql::ChildSql(const ChildTable& child)
    : count{NameOf(child, "count"),
            absl::StrCat("SELECT COUNT(*) FROM (SELECT 1", Visible(child), " LIMIT ?) AS referencing")},
      batch{NameOf(child, "reclaim_batch"),
            absl::StrCat("SELECT id, ", child.declaration.has_uid ? "uid, " : "'', ", IsReferred(child),
                         RowsOfParent(child), " LIMIT ?",
                         child.declaration.on_delete == Action::kSetNull ? " {update}" : "")},
      left{NameOf(child, "left"),
           absl::StrCat("SELECT id FROM ", child.table, " WHERE ", child.declaration.column, " = ? LIMIT 1")},
      remove{NameOf(child, "reclaim"), Remove(child)},
      hide{NameOf(child, "reclaim_by_hiding"), Hide(child)} {}

ReferenceSql::ReferenceSql(const ReferenceTable& table)
    : lock_shared{table.table + ".lock_shared",
                  absl::StrCat("SELECT id, state FROM ", table.table, " WHERE id IN (?) ORDER BY id {share}")},
      hold{table.table + ".hold",
           absl::StrCat("SELECT id, state FROM ", table.table, " WHERE id IN (?) ORDER BY id {share_free}")},
      lock{table.table + ".lock", absl::StrCat("SELECT ", Columns(), " FROM ", table.table, " WHERE id = ? {update}")},
      look{table.table + ".look", absl::StrCat("SELECT uid FROM ", table.table, " WHERE id = ?")},
      look_all{table.table + ".look_all",
               absl::StrCat("SELECT id, uid, state FROM ", table.table, " WHERE id IN (?) ORDER BY id")},
      add{table.table + ".add",
          absl::StrCat("INSERT INTO ", table.table, " (id, uid, state) VALUES (?, ?, ?) {keep_existing}")},
      insert{table.table + ".insert", absl::StrCat("INSERT INTO ", table.table, " (id, uid, state) VALUES (?, ?, ?)")},
      refuse{table.table + ".refuse", absl::StrCat("UPDATE ", table.table, " SET refused_through = ? WHERE id = ?")},
      lock_all{table.table + ".lock_all",
               absl::StrCat("SELECT id, uid, state FROM ", table.table, " WHERE id IN (?) ORDER BY id {update}")},
      release{table.table + ".release",
              absl::StrCat("UPDATE ", table.table, " SET state = ?, deletion_id = ?, traceparent = ? WHERE id IN (?)")},
      reclaimable{table.table + ".reclaimable",
                  absl::StrCat("SELECT id FROM ", table.table, " WHERE ", InState(ReferenceState::kReclaiming),
                               " AND id > ? ORDER BY id LIMIT ?")},
      remove{table.table + ".remove", absl::StrCat("DELETE FROM ", table.table, " WHERE id = ?")},
      highest{table.table + ".highest",
              absl::StrCat("SELECT id, uid FROM ", table.table, " WHERE id > 0 ORDER BY id DESC LIMIT 1")},
      released{table.table + ".released", absl::StrCat("SELECT deletion_id, uid FROM ", table.table, " WHERE ",
                                                       InState(ReferenceState::kReleased), " ORDER BY id LIMIT ?")},
      numbers{table.table + ".numbers", absl::StrCat("SELECT MAX(deletion_id) FROM ", table.table)},
      page{table.table + ".page", absl::StrCat("SELECT id, uid, state, refused_through FROM ", table.table,
                                               " WHERE id > ? ORDER BY id LIMIT ?")},
      forget_refused{table.table + ".forget_refused",
                     absl::StrCat("UPDATE ", table.table,
                                  " SET refused_through = 0 WHERE id > ? AND id <= ? AND refused_through > 0")},
      reclaim{table.table + ".give_up",
              absl::StrCat("UPDATE ", table.table, " SET ", InState(ReferenceState::kReclaiming), " WHERE id IN (?)")},
      reactivate{table.table + ".return",
                 absl::StrCat("UPDATE ", table.table, " SET ", InState(ReferenceState::kActive),
                              ", deletion_id = 0, traceparent = '' WHERE id IN (?)")} {
  for (const ChildTable& child : table.children) children.emplace_back(child);
}

LocalParentSql::LocalParentSql(const LocalParent& parent)
    : hide{parent.table + ".hide",
           absl::StrCat("UPDATE ", parent.table, " SET ", InState(ReferenceState::kReclaiming), " WHERE id = ?")},
      any{parent.table + ".any_hidden", absl::StrCat("SELECT id FROM ", parent.table, " WHERE ",
                                                     InState(ReferenceState::kReclaiming), " ORDER BY id LIMIT 1")},
      hidden{parent.table + ".hidden",
             absl::StrCat("SELECT id FROM ", parent.table, " WHERE ", InState(ReferenceState::kReclaiming),
                          " AND id > ? ORDER BY id LIMIT ? {update}")},
      remove{parent.table + ".remove_hidden", absl::StrCat("DELETE FROM ", parent.table, " WHERE id IN (?)")} {
  for (const LocalChild& child : parent.children) {
    const std::string& column = child.declaration.column;
    children.push_back({child.declaration.relationship,
                        {absl::StrCat(child.table, ".", column, ".hidden_batch"),
                         absl::StrCat("SELECT id, ", column, " FROM ", child.table, " WHERE ", column,
                                      " IN (?) ORDER BY ", column, " LIMIT ?")},
                        {absl::StrCat(child.table, ".", column, ".remove_hidden"),
                         absl::StrCat("DELETE FROM ", child.table, " WHERE id IN (?)")}});
  }
}

}  // namespace crosskey::relation
