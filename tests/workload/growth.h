// Whether something that is measured again and again grows, or only moves.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace crosskey::testing {

// The medians of three windows, one after the other.
struct Windows {
  int64_t first;
  int64_t middle;
  int64_t last;
};

// The first quarter of the values is dropped as warm-up, and the rest cut into three windows.
Windows WindowsOf(const std::vector<int64_t>& values);

// A leak makes each window higher than the one before, and the last one more than a fifth and `allowance` higher than the
// first. Noise does the one or the other, and a cache that fills up stops.
bool Grows(const Windows& windows, int64_t allowance);

}  // namespace crosskey::testing
