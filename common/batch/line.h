// A line of items that are done in batches.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "common/batch/workers.h"

namespace crosskey::batch {

// Combines concurrent calls of one kind: those that come while a batch is done wait, and are the next batch. So a batch
// is as large as the load makes it, and a call that comes alone is a batch of one that waits for nobody. (The idea is
// the group commit of databases: DeWitt et al., "Implementation Techniques for Main Memory Database Systems", 1984.)
//
// An `Item` can be moved, and has two methods. `absl::Status Waiting() const` says whether it may go on waiting; it is
// asked again and again once the item has waited for a moment. `void Refuse(const absl::Status&)` ends an item without
// doing it. Thread-safe.
template <typename Item>
class Line final : public LineBase {
 public:
  // `run` does the items of a batch, each of which must be ended by it or given to another line. It runs on a thread of
  // `workers`, and on several at a time with more than one lane. It must not throw. `workers` must outlive the line,
  // and must have been stopped when the line is destroyed.
  Line(Workers& workers, const LineOptions& options, std::function<void(std::vector<Item>)> run)
      : LineBase(workers, options), run_(std::move(run)) {
    Open();
  }
  ~Line() override { Close(); }

  void Add(Item item) {
    std::lock_guard lock(workers_.mutex_);
    waiting_.push_back({std::move(item), Clock::now()});
    SetLength(waiting_.size());
    workers_.Added(*this);
  }

 private:
  struct Waiting {
    Item item;
    Clock::time_point since;
  };

  bool Empty() const override { return waiting_.empty(); }
  Clock::time_point Oldest() const override { return waiting_.front().since; }

  void Do(std::unique_lock<std::mutex>& lock) override {
    std::vector<Item> items;
    const Clock::time_point oldest = Oldest();
    items.reserve(std::min(waiting_.size(), batch_));
    while (!waiting_.empty() && items.size() < batch_) {
      items.push_back(std::move(waiting_.front().item));
      waiting_.pop_front();
    }
    SetLength(waiting_.size());
    lock.unlock();
    Took(items.size(), oldest);
    run_(std::move(items));
    lock.lock();
  }

  void Refuse(std::unique_lock<std::mutex>& lock, Clock::time_point before) override {
    std::vector<std::pair<Item, absl::Status>> refused;
    for (auto each = waiting_.begin(); each != waiting_.end() && each->since < before;) {
      absl::Status status = each->item.Waiting();
      if (status.ok()) {
        ++each;
        continue;
      }
      refused.emplace_back(std::move(each->item), std::move(status));
      each = waiting_.erase(each);
    }
    if (refused.empty()) return;
    SetLength(waiting_.size());
    lock.unlock();
    for (auto& [item, status] : refused) item.Refuse(status);
    lock.lock();
  }

  const std::function<void(std::vector<Item>)> run_;
  std::deque<Waiting> waiting_;  // guarded by the lock of the workers
};

}  // namespace crosskey::batch
