#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/relation/parent/parent_table.h"
#include "common/status/ids.h"

namespace crosskey::users {

// The full names of the resource, of what it refers to, and of the relationships.
inline constexpr char kUserType[] = "user.v1.User";
inline constexpr char kPostType[] = "post.v1.Post";
inline constexpr char kUserPin[] = "user.v1.User.pinned_post_id";
inline constexpr char kPostUser[] = "post.v1.Post.user_id";

// A user as the service holds it.
struct User {
  RowId id{};
  std::string uid;
  std::string username;
  std::optional<RowId> pinned_post;
  relation::ParentState state = relation::ParentState::kActive;
  int64_t version = 0;      // the etag
  int64_t create_time = 0;  // microseconds since 1970
  int64_t update_time = 0;
};

}  // namespace crosskey::users
