// Finds out which rows the next page of a list has, without reading their contents.
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

// Where a page begins, and how many rows it may have. `after` is the key where the previous page ended; 0: the page
// begins at the beginning of the list.
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

// A page ends at its limit, at limits::kPageBytes, or when limits::kRowsExamined rows have been looked at. So it may be
// short, even empty, and still not be the last one. A row that the scan finds visible may be hidden a moment later. So
// the caller reads all keys with a single statement, and that decides what the page shows.
class Scan {
 public:
  // The key of a row, its size in a response in bytes, and whether it is visible (0: it is not).
  using Rows = std::vector<std::tuple<int64_t, int64_t, int64_t>>;
  // Returns the next rows after the key `after`, at most `limit`, hidden ones included.
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
  // Adds a row to the page. False: the page is full.
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
