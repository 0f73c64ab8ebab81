// Several writes, each of a call of its own, that share a transaction.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/db/transaction_result.h"
#include "common/idempotency/recorder.h"
#include "common/status/call.h"

namespace crosskey::idempotency {

// One of the writes.
template <typename Write>
struct Share {
  const Call* call;
  const Write* write;
};

// What became of each write. OK: done, with all that belongs to it. An error: refused, and nothing of it is stored.
// nullopt: it has to be done alone, in a transaction of its own. One write never fails another.
using Outcomes = std::vector<std::optional<absl::Status>>;

// What the body of such a transaction returns. It commits if it has done any of the writes.
using Joint = db::Either<Outcomes, Outcomes>;
Joint CommitIfAny(Outcomes outcomes);
absl::StatusOr<Outcomes> OutcomesOf(absl::StatusOr<Joint> joint);

// What a transaction calls, as its last statement, with the results of the writes that it has done; nullopt for the
// others. Makes the answers and stores those of calls with a request_id. Its error must be returned by the transaction.
template <typename Result>
using RecordAll = Record<std::vector<std::optional<Result>>>;

// Whether a call can be ended with the outcome of its write. An error may come from what an earlier call with the same
// request_id has changed in the meantime, and then the answer of that call counts. So a call with a request_id goes on
// alone, where that is looked up.
bool IsFinal(const std::optional<absl::Status>& outcome, bool has_request_id);

// Whether a transaction that has ended with this error may have taken effect all the same.
bool MayBeStored(const absl::Status& error);

}  // namespace crosskey::idempotency
