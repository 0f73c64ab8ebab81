// Waiting for a condition, with a deadline.
#pragma once

#include <cstdlib>
#include <functional>
#include <thread>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace crosskey::testing {

// How long to wait for what should happen soon. Only a test that fails waits that long, so it is generous for slow
// machines. tests/mutants, where tests are expected to fail, sets CROSSKEY_TEST_PATIENCE, in seconds.
inline absl::Duration Patience() {
  const char* seconds = std::getenv("CROSSKEY_TEST_PATIENCE");
  return absl::Seconds(seconds == nullptr ? 60 : std::atoi(seconds));
}

// True as soon as `condition` holds; false if it does not within `limit`.
inline bool WaitFor(const std::function<bool()>& condition, absl::Duration limit = Patience()) {
  const absl::Time deadline = absl::Now() + limit;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // between two looks; no test relies on it
  }
  return true;
}

}  // namespace crosskey::testing
