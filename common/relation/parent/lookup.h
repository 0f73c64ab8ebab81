// Telling another service which rows exist.
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
  // All rows of the table exist.
  Lookup(const ParentTable& table, db::Database& database);
  // (ids) -> id, uid, state (ParentState), by ascending id: those that exist.
  Lookup(db::Sql rows, db::Database& database) : rows_(std::move(rows)), database_(database) {}

  // The rows by ascending id. The head of the feed is read before the rows: a deletion that the rows do not show yet
  // gets a later sequence.
  absl::StatusOr<LookupAnswer> Run(const Call& call, const std::vector<RowId>& ids);

 private:
  const db::Sql rows_;
  db::Database& database_;
};

}  // namespace crosskey::relation
