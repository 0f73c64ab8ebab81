// The tables of the mechanism.
#pragma once

#include <string>
#include <vector>

#include "common/db/migrations.h"

namespace crosskey::relation {

// `reclaimed_rows`, and a reference table for each of these types of other services, which the service's own tables refer to.
std::vector<db::Component> ChildSchema(const std::vector<std::string>& parent_types);

// `deletion_rows`, and the records of the deletions of each of these own types.
std::vector<db::Component> ParentSchema(const std::vector<std::string>& types);

}  // namespace crosskey::relation
