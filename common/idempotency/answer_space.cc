#include "common/idempotency/answer_space.h"

#include <algorithm>

#include "common/status/errors.h"

namespace crosskey::idempotency {
namespace {

// What a row has besides the answer: ids, hash, time, and its place in two indexes.
constexpr int64_t kRowBytes = 256;

int64_t HourOf(absl::Time time) { return absl::ToUnixSeconds(time) / 3600; }

}  // namespace

// A clock that is set back counts into the newest hour.
void AnswerSpace::Hours::MoveTo(int64_t hour) {
  const int64_t steps = std::min<int64_t>(hour - newest, kHours);
  for (int64_t step = 1; step <= steps; ++step) {
    int64_t& oldest = bytes[static_cast<size_t>(hour - steps + step) % kHours];
    sum -= oldest;
    oldest = 0;
  }
  newest = std::max(newest, hour);
}

absl::Status AnswerSpace::Check(const std::string& principal, absl::Time now) {
  std::lock_guard lock(mutex_);
  all_.MoveTo(HourOf(now));
  if (all_.sum >= most_) return errors::Overloaded("stored answers");
  const auto found = by_principal_.find(principal);
  if (found == by_principal_.end()) return absl::OkStatus();
  found->second.MoveTo(HourOf(now));
  return found->second.sum < most_ / 2 ? absl::OkStatus() : errors::Overloaded("stored answers of this caller");
}

void AnswerSpace::Add(const std::string& principal, size_t bytes, absl::Time now) {
  const int64_t hour = HourOf(now);
  std::lock_guard lock(mutex_);
  Hours& own = by_principal_[principal];
  for (Hours* hours : {&all_, &own}) {
    hours->MoveTo(hour);
    const int64_t added = static_cast<int64_t>(bytes) + kRowBytes;
    hours->bytes[static_cast<size_t>(hours->newest) % kHours] += added;
    hours->sum += added;
  }
  if (hour <= forgotten_) return;
  forgotten_ = hour;
  for (auto each = by_principal_.begin(); each != by_principal_.end();) {
    each->second.MoveTo(hour);
    each = each->second.sum == 0 ? by_principal_.erase(each) : std::next(each);
  }
}

}  // namespace crosskey::idempotency
