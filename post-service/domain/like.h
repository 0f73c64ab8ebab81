#pragma once

#include <cstdint>

#include "common/status/ids.h"

namespace crosskey::posts {

// The full names of the relationships, for errors.
inline constexpr char kLikePost[] = "post.v1.Like.post_id";
inline constexpr char kLikeUser[] = "post.v1.Like.user_id";

// Says that a user likes a post.
struct Like {
  RowId post_id{};
  RowId user_id{};
  int64_t create_time = 0;  // microseconds since 1970
};

}  // namespace crosskey::posts
