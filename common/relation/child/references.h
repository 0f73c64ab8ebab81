// Tells the owner of a type which of its rows this service refers to.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "common/db/database.h"
#include "common/relation/child/reference_sql.h"
#include "common/relation/child/reference_table.h"
#include "common/relation/repair_peer.h"

namespace crosskey::relation {

// Works on the local database alone. Thread-safe.
class References {
 public:
  References(const ReferenceTable& table, const ReferenceSql& sql, db::Database& database)
      : table_(table), sql_(sql), database_(database) {}

  // The checkpoint is read before the rows. So a row that is absent was removed, or never there, after what the
  // checkpoint says had taken effect.
  absl::StatusOr<ReferencesAnswer> Find(const Call& call, const std::vector<RowId>& ids);

 private:
  const ReferenceTable& table_;
  const ReferenceSql& sql_;
  db::Database& database_;
};

}  // namespace crosskey::relation
