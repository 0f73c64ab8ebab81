// The limits that only post-service has. The others are those of common/status/limits.h.
#pragma once

#include <vector>

#include "common/status/limits.h"

namespace crosskey::posts {

inline constexpr int kRequestBytes = 4 * limits::kMebibyte;
inline constexpr int kBatchPostIds = 50;
inline constexpr int kBatchCreateBytes = 3 * limits::kMebibyte;

// For --help.
inline std::vector<limits::Limit> OwnLimits() {
  return {{"request to post-service", kRequestBytes / limits::kMebibyte, "MiB"},
          {"ids of BatchGetPosts", kBatchPostIds, "ids"},
          {"BatchCreatePosts request", kBatchCreateBytes / limits::kMebibyte, "MiB"}};
}

}  // namespace crosskey::posts
