// Waiting for a condition, with a deadline.
#pragma once

#include <cstdlib>
#include <functional>
#include <thread>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace crosskey::testing {

// How long to wait for what should happen soon. It only matters when a test fails, so it is generous for slow machines; where
// tests are expected to fail (tests/mutants) CROSSKEY_TEST_PATIENCE says how many seconds.
inline absl::Duration Patience() {
  const char* seconds = std::getenv("CROSSKEY_TEST_PATIENCE");
  return absl::Seconds(seconds == nullptr ? 60 : std::atoi(seconds));
}

// True as soon as `condition` holds; false if it does not within `limit`.
inline bool WaitFor(const std::function<bool()>& condition, absl::Duration limit = Patience()) {
  const absl::Time deadline = absl::Now() + limit;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // between two looks, not instead of one
  }
  return true;
}

}  // namespace crosskey::testing
