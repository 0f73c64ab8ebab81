#include "common/relation/child/pace.h"

#include <algorithm>

#include "common/status/limits.h"

namespace crosskey::relation {

absl::Duration Pace::After(int rows, absl::Duration held) {
  const bool has_calls = has_calls_ && has_calls_();
  const absl::Duration wanted = has_calls ? kBatchBesideCalls : kBatchAlone;
  // Only a full batch says what a larger one would cost. At most twice the size, because the next rows may cost more.
  const int size = rows_;
  if (held > wanted) {
    const double fits = rows * absl::FDivDuration(wanted, held);
    rows_ = std::max(kSmallestBatch, std::min(size, static_cast<int>(fits)));
  } else if (rows >= size) {
    const double fits = rows * absl::FDivDuration(wanted, std::max(held, absl::Microseconds(1)));
    rows_ = static_cast<int>(std::min({fits, 2.0 * size, static_cast<double>(limits::kReclaimBatchRows)}));
  }
  return has_calls ? std::min(kRests * held, kLongestRest) : absl::ZeroDuration();
}

}  // namespace crosskey::relation
