// What the rows of this service refer to. The actions come from the protos; a further relationship is registered here.
#pragma once

#include "absl/status/statusor.h"
#include "common/relation/reference_table.h"

namespace crosskey::posts {

// All: INVALID_ARGUMENT or NOT_FOUND, with the name: the linked protos do not declare what is registered here, or declare
// an action that cannot be carried out.

// Posts and likes refer to users.
absl::StatusOr<relation::ReferenceTable> ReferencesToUsers();
// Likes refer to posts, which are here.
absl::StatusOr<relation::LocalParent> ReferencesToPosts();

}  // namespace crosskey::posts
