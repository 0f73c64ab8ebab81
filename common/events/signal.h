// Tells threads of this process that something is new. Only saves waiting: who waits also looks again after a while by
// itself, because another process may have made the change.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "absl/time/time.h"

namespace crosskey::events {

// Thread-safe.
class Signal {
 public:
  // The count of notifications; pass it to Wait so that none in between is missed.
  uint64_t Now() const;
  void Notify();
  // Returns when there was a notification after `seen`, or after `limit`.
  void Wait(uint64_t seen, absl::Duration limit) const;

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  uint64_t count_ = 0;
};

}  // namespace crosskey::events
