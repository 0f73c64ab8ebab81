// Who refers to users. The actions come from the protos; a further relationship is registered here.
#pragma once

#include "absl/status/statusor.h"
#include "common/relation/parent_table.h"

namespace crosskey::users {

inline constexpr char kPostUser[] = "post.v1.Post.user_id";

// INVALID_ARGUMENT or NOT_FOUND, with the name: the linked protos do not declare what is registered here.
absl::StatusOr<relation::ParentTable> UsersAsParents();

}  // namespace crosskey::users
