#include "common/rpc/caller_shares.h"

#include <algorithm>

#include "common/status/errors.h"

namespace crosskey::rpc {
namespace {

// So many callers that hold no place are remembered, for their rates. Forgetting one gives it a full bucket.
constexpr size_t kRemembered = 10'000;

}  // namespace

absl::Status CallerShares::Enter(const std::string& principal, absl::Time now) {
  std::lock_guard lock(mutex_);
  if (in_flight_ >= places_) return errors::Overloaded("calls");
  if (by_principal_.size() > kRemembered) Forget();
  Share& share = by_principal_[principal];
  const int present = present_ + (share.in_flight == 0 ? 1 : 0);
  const bool last_quarter = in_flight_ >= places_ - places_ / 4;
  if (last_quarter && share.in_flight >= places_ / present) return errors::Overloaded("calls of this caller");
  if (!TakeToken(share, now)) return errors::Overloaded("rate of this caller");
  ++share.in_flight;
  ++in_flight_;
  present_ = present;
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

void CallerShares::Leave(const std::string& principal) {
  std::lock_guard lock(mutex_);
  const auto share = by_principal_.find(principal);
  --in_flight_;
  if (--share->second.in_flight > 0) return;
  --present_;
  if (rate_ == 0) by_principal_.erase(share);
}

void CallerShares::Forget() {
  for (auto share = by_principal_.begin(); share != by_principal_.end();) {
    share = share->second.in_flight == 0 ? by_principal_.erase(share) : std::next(share);
  }
}

}  // namespace crosskey::rpc
