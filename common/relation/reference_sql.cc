#include "common/relation/reference_sql.h"

#include "absl/strings/str_cat.h"
#include "common/fault/fault.h"

namespace crosskey::relation {

ChildSql::ChildSql(const ReferenceTable& table, const ChildTable& child)
    : count{absl::StrCat(child.table, ".", child.column, ".count"),
            absl::StrCat("SELECT COUNT(*) FROM (SELECT 1 FROM ", child.table, " WHERE ", child.column,
                         " = ? LIMIT ?) AS referencing")},
      batch{absl::StrCat(child.table, ".", child.column, ".reclaim_batch"),
            absl::StrCat("SELECT id, uid FROM ", child.table, " WHERE ", child.column, " = ? LIMIT ? {update}")},
      remove{absl::StrCat(child.table, ".", child.column, ".reclaim_remove"),
             absl::StrCat("DELETE FROM ", child.table, " WHERE id IN (?)")},
      set_null{absl::StrCat(child.table, ".", child.column, ".reclaim_set_null"),
               absl::StrCat("UPDATE ", child.table, " SET ", child.column, " = NULL WHERE id IN (?)")},
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
      lock{table.table + ".lock", absl::StrCat("SELECT uid, state, refused_through, deletion_id FROM ", table.table,
                                               " WHERE id = ? {update}")},
      look{table.table + ".look",
           absl::StrCat("SELECT uid, state, refused_through, deletion_id FROM ", table.table, " WHERE id = ?")},
      add{table.table + ".add",
          absl::StrCat("INSERT INTO ", table.table, " (id, uid, state) VALUES (?, ?, ?) {keep_existing}")},
      insert{table.table + ".insert", absl::StrCat("INSERT INTO ", table.table, " (id, uid, state) VALUES (?, ?, ?)")},
      refuse{table.table + ".refuse", absl::StrCat("UPDATE ", table.table, " SET refused_through = ? WHERE id = ?")},
      release{table.table + ".release",
              absl::StrCat("UPDATE ", table.table, " SET state = ?, deletion_id = ? WHERE id = ?")},
      reclaimable{table.table + ".reclaimable", absl::StrCat("SELECT id FROM ", table.table, " WHERE ", Reclaimable(),
                                                             " AND id > ? ORDER BY id LIMIT ?")},
      remove{table.table + ".remove", absl::StrCat("DELETE FROM ", table.table, " WHERE id = ?")} {
  for (const ChildTable& child : table.children) children.emplace_back(table, child);
}

}  // namespace crosskey::relation
