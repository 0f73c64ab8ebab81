// The tables of the mechanism.
#pragma once

#include <string>
#include <vector>

#include "common/db/migrations.h"

namespace crosskey::relation {

// Returns `reclaimed_rows`, and a reference table for each of these types of other services. The service's own tables
// refer to the reference tables.
std::vector<db::Component> ChildSchema(const std::vector<std::string>& parent_types);

// Returns `deletion_rows`, and for each of these own types the table with the records of its deletions.
std::vector<db::Component> ParentSchema(const std::vector<std::string>& types);

}  // namespace crosskey::relation
