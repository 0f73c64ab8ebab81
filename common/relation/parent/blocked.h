// Why a deletion does not move on.
#pragma once

#include <functional>
#include <string>

#include "absl/time/time.h"
#include "common/events/peer_watch.h"
#include "common/relation/parent/deletion_store.h"

namespace crosskey::relation {

// Uses what the watch has seen last, so an answer costs no call and no statement. Thread-safe.
class Blocked {
 public:
  // `peer` is the service whose rows refer to what is deleted, `now` is the clock of deletions and of the watch.
  Blocked(std::string peer, const events::PeerWatch& watch, std::function<absl::Time()> now)
      : peer_(std::move(peer)), watch_(watch), now_(std::move(now)) {}

  // Empty while everything moves normally, and once the deletion is over. Whoever drives the deletion notes a reason
  // when the peer does not answer (Deletion::blocked_reason). That reason is returned for an INTENT; for a PENDING only
  // during the first 10 s and until the watch has asked the peer, because after that the watch knows better.
  std::string Reason(const Deletion& deletion) const;

 private:
  const std::string peer_;
  const events::PeerWatch& watch_;
  const std::function<absl::Time()> now_;
};

}  // namespace crosskey::relation
