// Bounds what is stored as answers.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/status/limits.h"

namespace crosskey::idempotency {

// Counts the bytes of the answers that this process has stored within limits::kRequestIdRetention, by principal, in
// windows of an hour. A process that starts begins with nothing: what it finds in the table was counted by those that
// stored it. So a table has at most so much for each process that serves in a day. Thread-safe.
class AnswerSpace {
 public:
  // `most`: bytes of all principals together. One alone may have half of it.
  explicit AnswerSpace(int64_t most) : most_(most) {}

  // RESOURCE_EXHAUSTED OVERLOADED, "stored answers" or "stored answers of this caller": no more may be stored now.
  absl::Status Check(const std::string& principal, absl::Time now);
  // An answer of so many bytes has been stored.
  void Add(const std::string& principal, size_t bytes, absl::Time now);

 private:
  static constexpr size_t kHours = 25;  // a day, and the hour that has begun

  struct Hours {
    std::array<int64_t, kHours> bytes{};
    int64_t newest = 0;  // hours since 1970
    int64_t sum = 0;

    void MoveTo(int64_t hour);
  };

  const int64_t most_;
  std::mutex mutex_;
  Hours all_;
  std::unordered_map<std::string, Hours> by_principal_;
  int64_t forgotten_ = 0;  // the hour in which principals that have nothing were last removed
};

}  // namespace crosskey::idempotency
