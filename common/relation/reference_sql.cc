#include "common/relation/reference_sql.h"

#include "absl/strings/str_cat.h"
#include "common/fault/fault.h"

namespace crosskey::relation {

namespace {

std::string InState(ReferenceState state) { return absl::StrCat("state = ", static_cast<int>(state)); }

std::string OfParent(const ChildTable& child) {
  return absl::StrCat(" FROM ", child.table, " WHERE ", child.column, " = ?",
                      child.is_parent ? " AND " + InState(ReferenceState::kActive) : "");
}

std::string Visible(const ChildTable& child) {
  return absl::StrCat(OfParent(child), child.visible_if.empty() ? "" : " AND ", child.visible_if);
}

std::string Remove(const ChildTable& child) {
  const bool set_null = child.declaration.on_delete == Action::kSetNull;
  if (set_null) return absl::StrCat("UPDATE ", child.table, " SET ", child.column, " = NULL WHERE id IN (?)");
  if (!child.is_parent) return absl::StrCat("DELETE FROM ", child.table, " WHERE id IN (?)");
  return absl::StrCat("UPDATE ", child.table, " SET ", InState(ReferenceState::kReclaiming), " WHERE id IN (?)");
}

}  // namespace

// Rows whose parent is released have no other writers, so the batch is read without a lock: each statement locks what it
// changes, in the order of the service. A row that stays (SET NULL) can be written meanwhile, and is locked.
ChildSql::ChildSql(const ReferenceTable& table, const ChildTable& child)
    : count{absl::StrCat(child.table, ".", child.column, ".count"),
            absl::StrCat("SELECT COUNT(*) FROM (SELECT 1", Visible(child), " LIMIT ?) AS referencing")},
      batch{absl::StrCat(child.table, ".", child.column, ".reclaim_batch"),
            absl::StrCat("SELECT id, ", child.has_uid ? "uid" : "''", OfParent(child), " LIMIT ?",
                         child.declaration.on_delete == Action::kSetNull ? " {update}" : "")},
      left{absl::StrCat(child.table, ".", child.column, ".left"),
           absl::StrCat("SELECT id FROM ", child.table, " WHERE ", child.column, " = ? LIMIT 1")},
      remove{absl::StrCat(child.table, ".", child.column, ".reclaim"), Remove(child)},
      add_count{absl::StrCat(table.table, ".", child.count_column, ".add"),
                absl::StrCat("UPDATE ", table.table, " SET ", child.count_column, " = ", child.count_column,
                             " + ? WHERE id = ?")},
      counted{absl::StrCat(table.table, ".", child.count_column, ".get"),
              absl::StrCat("SELECT ", child.count_column, " FROM ", table.table, " WHERE id = ?")} {}

namespace {

std::string Reclaimable() {
  const int state = static_cast<int>(ReferenceState::kReclaiming);
  if (!fault::Without(fault::Guard::kReclaimAfterDrop)) return absl::StrCat("state = ", state);
  return absl::StrCat("state IN (", state, ", ", static_cast<int>(ReferenceState::kReleased), ")");
}

}  // namespace

ReferenceSql::ReferenceSql(const ReferenceTable& table)
    : lock_shared{table.table + ".lock_shared",
                  absl::StrCat("SELECT id, state FROM ", table.table, " WHERE id IN (?) ORDER BY id",
                               fault::Without(fault::Guard::kSharedLock) ? "" : " {share}")},
      lock{table.table + ".lock", absl::StrCat("SELECT uid, state, refused_through, deletion_id, traceparent FROM ",
                                               table.table, " WHERE id = ? {update}")},
      look{table.table + ".look", absl::StrCat("SELECT uid, state, refused_through, deletion_id, traceparent FROM ",
                                               table.table, " WHERE id = ?")},
      add{table.table + ".add",
          absl::StrCat("INSERT INTO ", table.table, " (id, uid, state) VALUES (?, ?, ?) {keep_existing}")},
      insert{table.table + ".insert", absl::StrCat("INSERT INTO ", table.table, " (id, uid, state) VALUES (?, ?, ?)")},
      refuse{table.table + ".refuse", absl::StrCat("UPDATE ", table.table, " SET refused_through = ? WHERE id = ?")},
      lock_all{table.table + ".lock_all",
               absl::StrCat("SELECT id, uid FROM ", table.table, " WHERE id IN (?) ORDER BY id {update}")},
      release{table.table + ".release",
              absl::StrCat("UPDATE ", table.table, " SET state = ?, deletion_id = ?, traceparent = ? WHERE id IN (?)")},
      reclaimable{table.table + ".reclaimable", absl::StrCat("SELECT id FROM ", table.table, " WHERE ", Reclaimable(),
                                                             " AND id > ? ORDER BY id LIMIT ?")},
      remove{table.table + ".remove", absl::StrCat("DELETE FROM ", table.table, " WHERE id = ?")} {
  for (const ChildTable& child : table.children) children.emplace_back(table, child);
}

LocalParentSql::LocalParentSql(const LocalParent& parent)
    : any{parent.table + ".any_hidden", absl::StrCat("SELECT id FROM ", parent.table, " WHERE ",
                                                     InState(ReferenceState::kReclaiming), " ORDER BY id LIMIT 1")},
      hidden{parent.table + ".hidden",
             absl::StrCat("SELECT id FROM ", parent.table, " WHERE ", InState(ReferenceState::kReclaiming),
                          " AND id > ? ORDER BY id LIMIT ? {update}")},
      remove{parent.table + ".remove_hidden", absl::StrCat("DELETE FROM ", parent.table, " WHERE id IN (?)")} {
  for (const LocalChild& child : parent.children) {
    children.push_back({child.declaration.relationship,
                        {absl::StrCat(child.table, ".", child.column, ".hidden_batch"),
                         absl::StrCat("SELECT id, ", child.column, " FROM ", child.table, " WHERE ", child.column,
                                      " IN (?) ORDER BY ", child.column, " LIMIT ?")},
                        {absl::StrCat(child.table, ".", child.column, ".remove_hidden"),
                         absl::StrCat("DELETE FROM ", child.table, " WHERE id IN (?)")}});
  }
}

}  // namespace crosskey::relation
