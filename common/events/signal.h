// Tells threads of this process that something is new. It only shortens their wait: a thread that waits also looks by
// itself after a while, because another process may have made the change.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "absl/time/time.h"

namespace crosskey::events {

// Thread-safe.
class Signal {
 public:
  // The number of notifications so far. Take it before looking for news and pass it to Wait, so that a notification in
  // between is not missed.
  uint64_t Now() const;
  void Notify();
  // Waits until there is a notification after those that `seen` counts, at most for `limit`.
  void Wait(uint64_t seen, absl::Duration limit) const;

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  uint64_t count_ = 0;
};

}  // namespace crosskey::events
