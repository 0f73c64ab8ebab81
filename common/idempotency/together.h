// Several writes, each of a call of its own, that share a transaction.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/status.h"
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

// What a transaction calls, as its last statement, with the results of the writes that it has done; nullopt for the
// others. Makes the answers and stores those of calls with a request_id. Its error must be returned by the transaction.
template <typename Result>
using RecordAll = Record<std::vector<std::optional<Result>>>;

}  // namespace crosskey::idempotency
