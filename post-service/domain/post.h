#pragma once

#include <cstdint>
#include <string>

namespace crosskey::posts {

// The full name of the resource, and of the relationship to its user, for errors.
inline constexpr char kPostType[] = "post.v1.Post";
inline constexpr char kPostUser[] = "post.v1.Post.user_id";

// A post as the service holds it.
struct Post {
  int64_t id = 0;
  std::string uid;
  int64_t user_id = 0;
  std::string title;
  std::string content;
  int64_t like_count = 0;
  int64_t version = 0;      // the etag
  int64_t create_time = 0;  // microseconds since 1970
  int64_t update_time = 0;
};

}  // namespace crosskey::posts
