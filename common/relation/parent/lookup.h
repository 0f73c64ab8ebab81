// Tells another service which rows exist.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/db/database.h"
#include "common/relation/parent/parent_table.h"
#include "common/relation/peer.h"

namespace crosskey::relation {

// Works on the local database alone. Thread-safe.
class Lookup {
 public:
  // Every row of the table can be referred to.
  Lookup(const ParentTable& table, db::Database& database);
  // `rows` is a statement (ids) -> id, uid, state (ParentState), by ascending id. It finds the rows that can be
  // referred to.
  Lookup(db::Sql rows, db::Database& database) : rows_(std::move(rows)), database_(database) {}

  // Returns the rows by ascending id. The head of the feed is read before the rows, so a deletion that the rows do not
  // show yet gets a later sequence.
  absl::StatusOr<LookupAnswer> Run(const Call& call, const std::vector<RowId>& ids);

 private:
  const db::Sql rows_;
  db::Database& database_;
};

}  // namespace crosskey::relation
