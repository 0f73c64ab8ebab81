#include "tests/workload/growth.h"

#include <algorithm>

namespace crosskey::testing {
namespace {

int64_t Median(std::vector<int64_t> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

Windows WindowsOf(const std::vector<int64_t>& values) {
  const auto size = static_cast<std::ptrdiff_t>(values.size());
  const auto begin = values.begin() + size / 4;
  const auto window = (size - size / 4) / 3;
  return {Median({begin, begin + window}), Median({begin + window, begin + 2 * window}),
          Median({begin + 2 * window, values.end()})};
}

bool Grows(const Windows& windows, int64_t allowance) {
  return windows.first < windows.middle && windows.middle < windows.last &&
         windows.last > windows.first + windows.first / 5 + allowance;
}

}  // namespace crosskey::testing
