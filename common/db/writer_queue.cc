#include "common/db/writer_queue.h"

#include <algorithm>

namespace crosskey::db {

std::optional<WriterQueue::Turn> WriterQueue::Enter(const Call& call) {
  std::unique_lock lock(mutex_);
  const uint64_t ticket = next_++;
  waiting_.push_back(ticket);
  const auto my_turn = [&] { return waiting_.front() == ticket; };
  // Capped, because an infinite time point overflows in wait_until.
  const absl::Time until = std::min(call.deadline, absl::Now() + absl::Hours(1));
  if (changed_.wait_until(lock, absl::ToChronoTime(until), my_turn)) return Turn(this);
  waiting_.erase(std::find(waiting_.begin(), waiting_.end(), ticket));
  changed_.notify_all();
  return std::nullopt;
}

size_t WriterQueue::size() const {
  std::lock_guard lock(mutex_);
  return waiting_.size();
}

void WriterQueue::Leave() {
  {
    std::lock_guard lock(mutex_);
    waiting_.pop_front();
  }
  changed_.notify_all();
}

}  // namespace crosskey::db
