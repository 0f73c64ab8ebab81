// Finding out which rows the next page of a list has, without reading them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <tuple>
#include <vector>

#include "absl/status/statusor.h"
#include "common/status/limits.h"
#include "common/status/macros.h"

namespace crosskey::posts {

// Where a page begins (the key where the previous one ended; 0: at the beginning), and how many rows it may have.
struct PageStart {
  int64_t after = 0;
  int64_t limit = 0;
  bool descending = false;
};

template <typename Row>
struct Page {
  std::vector<Row> rows;
  std::optional<int64_t> next;  // `after` of the next page; none: this is the last one
};

// A page ends at its limit, at limits::kPageBytes, or when limits::kRowsExamined rows have been looked at: so it may be
// short, even empty, and yet have a next one. What the scan takes for visible may be hidden a moment later: a single
// statement for all keys then decides what the page shows.
class Scan {
 public:
  // Key, size in a response, whether it is visible.
  using Rows = std::vector<std::tuple<int64_t, int64_t, int64_t>>;
  // The next rows after a key, hidden ones included, at most so many.
  using Next = std::function<absl::StatusOr<Rows>(int64_t after, int64_t limit)>;

  Scan(const PageStart& start, Next next) : limit_(start.limit), position_(start.after), next_(std::move(next)) {
    if (start.descending && position_ == 0) position_ = std::numeric_limits<int64_t>::max();
  }

  absl::Status Run() {
    constexpr int64_t kChunk = 1000;  // rows of one statement
    int64_t chunk = std::min(limit_ + 1, kChunk);
    int64_t examined = 0;
    while (examined < limits::kRowsExamined) {
      chunk = std::min(chunk, limits::kRowsExamined - examined);
      CROSSKEY_ASSIGN_OR_RETURN(const Rows rows, next_(position_, chunk));
      for (const auto& [key, bytes, visible] : rows) {
        if (visible != 0 && !Take(key, bytes)) {
          more_ = true;
          return absl::OkStatus();
        }
        position_ = key;
        ++examined;
      }
      if (static_cast<int64_t>(rows.size()) < chunk) return absl::OkStatus();
      chunk = kChunk;
    }
    more_ = true;
    return absl::OkStatus();
  }

  const std::vector<int64_t>& keys() const { return keys_; }
  std::optional<int64_t> next() const { return more_ ? std::optional<int64_t>(position_) : std::nullopt; }

 private:
  // False: the page is full.
  bool Take(int64_t key, int64_t bytes) {
    if (static_cast<int64_t>(keys_.size()) == limit_) return false;
    if (!keys_.empty() && bytes_ + bytes > limits::kPageBytes) return false;
    bytes_ += bytes;
    keys_.push_back(key);
    return true;
  }

  const int64_t limit_;
  int64_t position_;
  const Next next_;
  int64_t bytes_ = 0;
  bool more_ = false;
  std::vector<int64_t> keys_;
};

}  // namespace crosskey::posts
