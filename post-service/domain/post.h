#pragma once

#include <cstdint>
#include <string>

#include "common/status/ids.h"

namespace crosskey::posts {

// The full names of the resource, of what it refers to, and of that relationship.
inline constexpr char kPostType[] = "post.v1.Post";
inline constexpr char kUserType[] = "user.v1.User";
inline constexpr char kPostUser[] = "post.v1.Post.user_id";

// A post as the service holds it.
struct Post {
  RowId id{};
  std::string uid;
  RowId user_id{};
  std::string title;
  std::string content;
  int64_t like_count = 0;
  int64_t version = 0;      // the etag
  int64_t create_time = 0;  // microseconds since 1970
  int64_t update_time = 0;
};

}  // namespace crosskey::posts
