// How fast the rows of deletions are removed.
#pragma once

#include <atomic>
#include <functional>

#include "absl/time/time.h"
#include "common/status/call.h"

namespace crosskey::relation {

// Rows are removed by batches, each in a transaction of its own. Others may wait for what a batch has locked: on SQLite
// every writer does. So a batch has as many rows as were removed lately in the time that it may take, and while the
// service has calls of clients, there is a rest after each batch that is a multiple of its time. Tools that change
// tables while they are in use go by chunks of a given time in the same way (pt-online-schema-change --chunk-time).
//
// Thread-safe.
class Pace {
 public:
  // How long a batch should hold its locks, while there are calls and while there are none. A batch holds them for
  // longer if its rows cost more than those before it, or if it has the smallest size.
  static constexpr absl::Duration kBatchBesideCalls = absl::Milliseconds(4);
  static constexpr absl::Duration kBatchAlone = absl::Milliseconds(30);
  static constexpr int kSmallestBatch = 16;
  static constexpr int kFirstBatch = 128;
  // How often the time of a batch fits into the rest after it.
  static constexpr int kRests = 4;
  static constexpr absl::Duration kLongestRest = absl::Milliseconds(100);

  // `has_calls`: whether clients wait for answers of this service now. Empty: never.
  explicit Pace(std::function<bool()> has_calls = nullptr) : has_calls_(std::move(has_calls)) {}

  // How many rows the next batch may have: kSmallestBatch to limits::kReclaimBatchRows.
  int rows() const { return rows_; }

  // To be called after each batch, outside of its transaction. `held` is the time for which it has held its locks.
  // Adapts the size. Returns how long to rest.
  absl::Duration After(int rows, absl::Duration held);

 private:
  const std::function<bool()> has_calls_;
  std::atomic<int> rows_ = kFirstBatch;
};

}  // namespace crosskey::relation
