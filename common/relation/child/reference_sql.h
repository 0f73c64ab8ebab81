// The SQL of the child's side, built once from a registration. Behind each statement: (arguments) -> columns.
#pragma once

#include <string>
#include <vector>

#include "common/db/sql.h"
#include "common/relation/child/reference_table.h"

namespace crosskey::relation {

struct ChildSql {
  explicit ChildSql(const ChildTable& child);

  db::Sql count;   // (parent id, limit) -> visible rows, at most limit
  db::Sql batch;   // (parent id, limit) -> id, uid, whether rows of this service refer to it
  db::Sql left;    // (parent id) -> id of any row that is still there, hidden ones included
  db::Sql remove;  // (ids): deletes or sets null
  db::Sql hide;    // (ids): for rows that are referred to; empty if there cannot be any
};

struct ReferenceSql {
  explicit ReferenceSql(const ReferenceTable& table);

  db::Sql lock_shared;     // (ids) -> id, state
  db::Sql hold;            // the same, without the rows that others have locked
  db::Sql lock;            // (id) -> uid, state, refused_through, deletion_id, traceparent
  db::Sql look;            // the uid, without a lock
  db::Sql look_all;        // (ids) -> id, uid, state, without a lock
  db::Sql add;             // (id, uid, state): keeps an existing row
  db::Sql insert;          // (id, uid, state): a duplicate is an error
  db::Sql refuse;          // (refused_through, id)
  db::Sql lock_all;        // (ids) -> id, uid, state
  db::Sql release;         // (state, deletion_id, traceparent, ids)
  db::Sql reclaimable;     // (after id, limit) -> id
  db::Sql remove;          // (id)
  db::Sql highest;         // () -> id, uid of the highest id
  db::Sql released;        // (limit) -> deletion_id, uid of RELEASED rows
  db::Sql numbers;         // () -> the highest deletion id that any row belongs to; reads the whole table
  db::Sql page;            // (after id, limit) -> id, uid, state, refused_through
  db::Sql forget_refused;  // (after id, last id): a deletion with any id may release these rows
  db::Sql reclaim;         // (ids): makes the rows RECLAIMING
  db::Sql reactivate;      // (ids): makes the rows ACTIVE
  std::vector<ChildSql> children;
};

struct LocalParentSql {
  explicit LocalParentSql(const LocalParent& parent);

  db::Sql hide;    // (id)
  db::Sql any;     // () -> id of the first hidden row
  db::Sql hidden;  // (after id, limit) -> id, locked
  db::Sql remove;  // (ids)
  struct Child {
    std::string relationship;
    db::Sql batch;   // (parent ids, limit) -> id, parent id, by ascending parent id
    db::Sql remove;  // (ids)
  };
  std::vector<Child> children;
};

}  // namespace crosskey::relation
