// Why a deletion does not move on.
#pragma once

#include <functional>
#include <string>

#include "absl/time/time.h"
#include "common/events/peer_watch.h"
#include "common/relation/parent/deletion_store.h"

namespace crosskey::relation {

// Answers from what the watch has seen last, without a call or a statement. Thread-safe.
class Blocked {
 public:
  // `peer` is the service whose rows refer to what is deleted; `now` the clock of deletions and of the watch.
  Blocked(std::string peer, const events::PeerWatch& watch, std::function<absl::Time()> now)
      : peer_(std::move(peer)), watch_(watch), now_(std::move(now)) {}

  // Empty while everything moves normally, and once the deletion is over. What the driver of the deletion has noted
  // itself (Deletion::blocked_reason) holds for an INTENT, and for the first seconds of a PENDING.
  std::string Reason(const Deletion& deletion) const;

 private:
  const std::string peer_;
  const events::PeerWatch& watch_;
  const std::function<absl::Time()> now_;
};

}  // namespace crosskey::relation
