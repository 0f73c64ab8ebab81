// Whether the tables are what the declarations say. Looked at when a service starts: a relationship that is declared and has no
// table, or a table that refers to another service's rows and is not declared, would be an orphan one day.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "common/db/connection.h"
#include "common/relation/child/reference_table.h"
#include "common/relation/parent/parent_table.h"

namespace crosskey::relation {

// All that a service has registered.
struct Registered {
  std::vector<const ReferenceTable*> references;
  std::vector<const LocalParent*> locals;
  std::vector<const ParentTable*> parents;
};

// FAILED_PRECONDITION, with the name: a relationship to one of the types that are referred to, or of a type of this
// service, is declared, and nobody has registered its table. Relationships within one package are those of LocalParent.
absl::Status CheckRegistered(const Declarations& declarations, const Registered& registered);

// FAILED_PRECONDITION, with the names: a table or a column is missing or has another type, a foreign key is missing or does
// something by itself, a column that the reclaim searches has no index, or a foreign key to a reference table belongs to no
// registered relationship.
absl::Status CheckTables(db::Connection& connection, const Registered& registered);

}  // namespace crosskey::relation
