#include "common/rpc/caller_shares.h"

#include <algorithm>

#include "common/status/errors.h"

namespace crosskey::rpc {
namespace {

// A bucket is full after a second, so forgetting a caller then takes no token from it and gives it none.
constexpr absl::Duration kPresence = absl::Seconds(1);
constexpr absl::Duration kSweep = absl::Milliseconds(100);
// Of more callers, those that hold no place are forgotten earlier.
constexpr size_t kPresent = 10'000;

}  // namespace

absl::Status CallerShares::Enter(const std::string& caller, absl::Time now) {
  std::lock_guard lock(mutex_);
  if (absl::AbsDuration(now - swept_) >= kSweep || present_.size() >= kPresent) ForgetTheAbsent(now);
  Share& share = present_[caller];
  share.seen = now;
  if (in_flight_ >= places_) return errors::Overloaded("calls");
  const int equal = std::max(1, places_ / static_cast<int>(present_.size()));
  const bool last_quarter = in_flight_ >= places_ - places_ / 4;
  if (last_quarter && share.in_flight >= equal) return errors::Overloaded("calls of this caller");
  if (!TakeToken(share, now)) return errors::Overloaded("rate of this caller");
  ++share.in_flight;
  ++in_flight_;
  return absl::OkStatus();
}

bool CallerShares::TakeToken(Share& share, absl::Time now) const {
  if (rate_ == 0) return true;
  // A clock that was set back gives no tokens, and takes none.
  const double seconds = std::max(0.0, absl::ToDoubleSeconds(now - share.filled));
  share.tokens = std::min<double>(rate_, share.tokens + seconds * rate_);
  share.filled = now;
  if (share.tokens < 1) return false;
  share.tokens -= 1;
  return true;
}

void CallerShares::Leave(const std::string& caller, absl::Time now) {
  std::lock_guard lock(mutex_);
  const auto share = present_.find(caller);
  --in_flight_;
  --share->second.in_flight;
  share->second.seen = now;
}

int CallerShares::in_flight() const {
  std::lock_guard lock(mutex_);
  return in_flight_;
}

void CallerShares::ForgetTheAbsent(absl::Time now) {
  const absl::Duration presence = present_.size() < kPresent ? kPresence : absl::ZeroDuration();
  swept_ = now;
  for (auto share = present_.begin(); share != present_.end();) {
    const bool absent = share->second.in_flight == 0 && now - share->second.seen >= presence;
    share = absent ? present_.erase(share) : std::next(share);
  }
}

}  // namespace crosskey::rpc
