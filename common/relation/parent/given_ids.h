// Which ids of rows and deletions a parent's service has given.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/db/database.h"
#include "common/db/sql.h"
#include "common/events/feed.h"
#include "common/relation/parent/parent_table.h"

namespace crosskey::relation {

// Thread-safe.
class GivenIds {
 public:
  // A type whose deletions are recorded.
  explicit GivenIds(const ParentTable& table);
  // A type without records of its deletions.
  GivenIds(std::string type, std::string table);

  const std::string& type() const { return type_; }

  // Says why this database cannot be the one that another service has seen these rows of. Empty: it can be.
  absl::StatusOr<std::string> Misfit(db::Connection& connection, const events::Seen& seen) const;
  // Sees to it that nothing of this is given again.
  absl::Status Raise(db::Database& database, const Call& call, const events::Seen& seen) const;

 private:
  const std::string type_;
  const std::string table_;
  const std::string deletions_table_;  // empty: none
  const db::Sql uid_;                  // (id) -> uid
  const db::Sql deleted_;              // (id) -> uid of the latest deletion of this row
  const db::Sql deletion_;             // (deletion_id) -> uid
};

}  // namespace crosskey::relation
