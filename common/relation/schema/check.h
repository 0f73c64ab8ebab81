// Checks when a service starts that the tables are what the declarations say. A declared relationship without a table,
// or a table that refers to another service's rows without a declaration, would leave an orphan one day.
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

// FAILED_PRECONDITION, with the name: a relationship is declared but its table is not registered, although its parent
// type has a reference table here or its child type is in a package of this service. Relationships within one package
// are left out, because LocalParent::Of finds them by itself.
absl::Status CheckRegistered(const Declarations& declarations, const Registered& registered);

// FAILED_PRECONDITION, with the names: a table or a column is missing, a column is no number where it must be one, a
// foreign key is missing or does something by itself, a column that the reclaim searches has no index, or a foreign key
// to a reference table or to a LocalParent's table belongs to no registered relationship.
absl::Status CheckTables(db::Connection& connection, const Registered& registered);

}  // namespace crosskey::relation
