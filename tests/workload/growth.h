// Whether something that is measured again and again grows, or only varies.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace crosskey::testing {

// The medians of three successive windows of the values.
struct Windows {
  int64_t first;
  int64_t middle;
  int64_t last;
};

// The first quarter of the values is dropped as warm-up, and the rest cut into three windows.
Windows WindowsOf(const std::vector<int64_t>& values);

// A leak makes each window higher than the one before, and the last one more than a fifth and `allowance` higher than
// the first. Noise does not do both, and a cache stops growing once it is full.
bool Grows(const Windows& windows, int64_t allowance);

}  // namespace crosskey::testing
