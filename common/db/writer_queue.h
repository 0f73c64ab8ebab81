// A first-in first-out queue for writers, of which SQLite allows one at a time. SQLite's own busy handler would not do,
// because it polls, and some writers starve for seconds.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "common/status/call.h"

namespace crosskey::db {

// Thread-safe. Must outlive its turns.
class WriterQueue {
 public:
  // The right to write; given back in the destructor.
  class Turn {
   public:
    explicit Turn(WriterQueue* queue) : queue_(queue) {}
    Turn(Turn&& other) noexcept : queue_(std::exchange(other.queue_, nullptr)) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (queue_ != nullptr) queue_->Leave();
    }

   private:
    WriterQueue* queue_;
  };

  // Waits until all who came before are done. Returns nullopt once the call's deadline has passed, or soon after the
  // call was cancelled.
  std::optional<Turn> Enter(const Call& call);

  // The number of callers that write or wait.
  size_t size() const;

 private:
  void Leave();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<uint64_t> waiting_;  // tickets; the one at the front writes
  uint64_t next_ = 0;
};

}  // namespace crosskey::db
