#include "common/db/writer_queue.h"

#include <algorithm>

namespace crosskey::db {

namespace {

// A call that waits for its turn checks this often whether it was cancelled.
constexpr absl::Duration kLook = absl::Milliseconds(100);

}  // namespace

std::optional<WriterQueue::Turn> WriterQueue::Enter(const Call& call) {
  std::unique_lock lock(mutex_);
  const uint64_t ticket = next_++;
  waiting_.push_back(ticket);
  const auto my_turn = [&] { return waiting_.front() == ticket; };
  do {
    const absl::Time look = std::min(call.deadline, absl::Now() + kLook);
    if (changed_.wait_until(lock, absl::ToChronoTime(look), my_turn)) return Turn(this);
  } while (absl::Now() < call.deadline && !(call.cancelled && call.cancelled()));
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
