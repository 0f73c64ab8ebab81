// What posts refer to. The actions come from the protos; a further relationship is registered here.
#pragma once

#include "absl/status/statusor.h"
#include "common/relation/reference_table.h"

namespace crosskey::posts {

// INVALID_ARGUMENT or NOT_FOUND, with the name: the linked protos do not declare what is registered here.
absl::StatusOr<relation::ReferenceTable> ReferencesToUsers();

}  // namespace crosskey::posts
