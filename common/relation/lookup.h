// Telling another service which rows exist.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/db/database.h"
#include "common/relation/parent_table.h"
#include "common/relation/peer.h"

namespace crosskey::relation {

// Works on the local database alone. Thread-safe.
class Lookup {
 public:
  Lookup(const ParentTable& table, db::Database& database);

  // The rows by ascending id. The head of the feed is read before the rows: a deletion that the rows do not show yet
  // gets a later sequence.
  absl::StatusOr<LookupAnswer> Run(const Call& call, const std::vector<int64_t>& ids);

 private:
  const db::Sql rows_;
  db::Database& database_;
};

}  // namespace crosskey::relation
