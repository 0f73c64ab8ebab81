// Who refers to users, and what they refer to. The actions come from the protos; a further relationship is registered here.
#pragma once

#include "absl/status/statusor.h"
#include "common/relation/parent_table.h"
#include "common/relation/reference_table.h"

namespace crosskey::users {

inline constexpr char kPostUser[] = "post.v1.Post.user_id";
inline constexpr char kLikeUser[] = "post.v1.Like.user_id";

// Both: INVALID_ARGUMENT or NOT_FOUND, with the name: the linked protos do not declare what is registered here, or declare
// an action that cannot be carried out.

absl::StatusOr<relation::ParentTable> UsersAsParents();
// Users pin posts.
absl::StatusOr<relation::ReferenceTable> ReferencesToPosts();

}  // namespace crosskey::users
