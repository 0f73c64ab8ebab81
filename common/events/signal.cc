#include "common/events/signal.h"

namespace crosskey::events {

uint64_t Signal::Now() const {
  std::lock_guard lock(mutex_);
  return count_;
}

void Signal::Notify() {
  {
    std::lock_guard lock(mutex_);
    ++count_;
  }
  changed_.notify_all();
}

void Signal::Wait(uint64_t seen, absl::Duration limit) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, absl::ToChronoMicroseconds(limit), [&] { return count_ != seen; });
}

}  // namespace crosskey::events
