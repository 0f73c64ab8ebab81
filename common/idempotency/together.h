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

// Stores the answers of the writes that a transaction has done, as its last statement. `calls` are those of the writes,
// also of those without a request_id. If one of them is too late by now, that is the error, because it must have no
// effect.
absl::Status StoreAnswers(Answers& answers, db::Tx& tx, const std::vector<const Call*>& calls,
                          const std::vector<Answers::New>& made);

// Whether a transaction that has ended with this error may have taken effect all the same.
bool MayBeStored(const absl::Status& error);

}  // namespace crosskey::idempotency
