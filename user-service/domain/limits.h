// The limits that only user-service has. The others are those of common/status/limits.h.
#pragma once

#include <vector>

#include "common/status/limits.h"

namespace crosskey::users {

inline constexpr int kRequestBytes = limits::kMebibyte;  // no sensible one has a tenth of that

// For --help.
inline std::vector<limits::Limit> OwnLimits() {
  return {{"request to user-service", kRequestBytes / limits::kMebibyte, "MiB"}};
}

}  // namespace crosskey::users
