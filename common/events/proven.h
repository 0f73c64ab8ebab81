// Reads whose answers are stored by others.
#pragma once

#include <utility>

#include "common/db/cluster_locks.h"
#include "common/db/database.h"
#include "common/fault/points.h"
#include "common/status/macros.h"

namespace crosskey::events {

// Like Database::Read. But an answer that `is_verdict` is given only after the body has run again in a transaction that
// changes a row and is committed. The other service stores such an answer, and only a repair ends what comes of it. A
// server that was a primary until a moment ago, or is cut off from the others of its group, would give it because it
// is behind; but it cannot commit. UNAVAILABLE: it was not proven. (Technique: a read that a quorum has to confirm;
// here by the COMMIT of whatever replicates the database.)
template <typename Body, typename IsVerdict>
std::invoke_result_t<Body&, db::Connection&> ReadProven(db::Database& database, const Call& call, Body&& body,
                                                        IsVerdict&& is_verdict) {
  auto answer = database.Read(call, body);
  if (!is_verdict(answer)) return answer;
  const absl::Status proof = database.Transact(call, fault::kVerdict, [&](db::Tx& tx) -> absl::Status {
    CROSSKEY_RETURN_IF_ERROR(db::ProveWrites(tx));
    answer = body(tx);
    return is_verdict(answer) ? absl::OkStatus() : answer.status();
  });
  if (!proof.ok()) return proof;
  return answer;
}

}  // namespace crosskey::events
