// The limits that only post-service has. The others are those of common/status/limits.h.
#pragma once

#include <vector>

#include "common/status/limits.h"

namespace crosskey::posts {

inline constexpr int kRequestBytes = 4 * limits::kMebibyte;
inline constexpr int kBatchPostIds = 50;
// The longest content has 64 KiB, and a client may send the rest of the post, a field mask and some unknown fields too.
inline constexpr int kPostRequestKibibytes = 80;
// The answer repeats the posts and is somewhat larger than the request. Clients accept 4 MiB by default, so the request
// has to be smaller than that.
inline constexpr int kBatchCreateBytes = 3 * limits::kMebibyte;

// For --help.
inline std::vector<limits::Limit> OwnLimits() {
  return {{"request to post-service", kRequestBytes / limits::kMebibyte, "MiB"},
          {"ids of BatchGetPosts", kBatchPostIds, "ids"},
          {"CreatePost or UpdatePost request", kPostRequestKibibytes, "KiB"},
          {"BatchCreatePosts request", kBatchCreateBytes / limits::kMebibyte, "MiB"}};
}

}  // namespace crosskey::posts
