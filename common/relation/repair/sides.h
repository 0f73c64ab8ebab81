// What a check and a repair of a service work with.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/events/history.h"
#include "common/events/outbox.h"
#include "common/events/transport.h"
#include "common/relation/child/child.h"
#include "common/relation/parent/parent.h"
#include "common/relation/repair_peer.h"

namespace crosskey::relation {

// All must outlive what works with it.
struct Sides {
  std::string own;   // "post-service"
  std::string peer;  // the other service, by the name of its feed
  events::Outbox& outbox;
  events::History& history;
  events::Transport& transport;
  RepairPeer& repairs;
  std::vector<Child*> children;                              // the references to rows of the peer
  Parent* parent = nullptr;                                  // own rows whose deletions the peer may refuse
  std::function<absl::StatusOr<bool>(const Call&)> reclaim;  // removes some hidden rows; whether there may be more
};

}  // namespace crosskey::relation
