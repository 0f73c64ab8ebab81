// Waiting for a condition, with a deadline.
#pragma once

#include <functional>
#include <thread>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace crosskey::testing {

// True as soon as `condition` holds; false if it does not within `limit`. The limit only matters when a test fails, so
// it is generous for slow machines.
inline bool WaitFor(const std::function<bool()>& condition, absl::Duration limit = absl::Seconds(60)) {
  const absl::Time deadline = absl::Now() + limit;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // between two looks, not instead of one
  }
  return true;
}

}  // namespace crosskey::testing
