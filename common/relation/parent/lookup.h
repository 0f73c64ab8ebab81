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
  // Both are statements (ids) -> id, uid, state (ParentState), by ascending id. `rows` finds the rows that can be
  // referred to, `all` those whose deletion has not been published yet.
  Lookup(db::Sql rows, db::Sql all, db::Database& database)
      : rows_(std::move(rows)), all_(std::move(all)), database_(database) {}

  // Returns the rows by ascending id. The head of the feed is read before the rows, so a deletion that the rows do not
  // show yet gets a later sequence.
  absl::StatusOr<LookupAnswer> Run(const Call& call, const std::vector<RowId>& ids) { return Read(call, rows_, ids); }
  // The same for a check: a row that nobody may refer to any more, and whose deletion has not been published yet, is
  // there and being deleted.
  absl::StatusOr<LookupAnswer> Examine(const Call& call, const std::vector<RowId>& ids) {
    return Read(call, all_, ids);
  }

 private:
  absl::StatusOr<LookupAnswer> Read(const Call& call, const db::Sql& rows, const std::vector<RowId>& ids);

  const db::Sql rows_;
  const db::Sql all_;
  db::Database& database_;
};

}  // namespace crosskey::relation
