#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/relation/parent_table.h"

namespace crosskey::users {

// The full names of the resource, of what it refers to, and of that relationship.
inline constexpr char kUserType[] = "user.v1.User";
inline constexpr char kPostType[] = "post.v1.Post";
inline constexpr char kUserPin[] = "user.v1.User.pinned_post_id";

// A user as the service holds it.
struct User {
  int64_t id = 0;
  std::string uid;
  std::string username;
  std::optional<int64_t> pinned_post;
  relation::ParentState state = relation::ParentState::kActive;
  int64_t version = 0;      // the etag
  int64_t create_time = 0;  // microseconds since 1970
  int64_t update_time = 0;
};

}  // namespace crosskey::users
