// Who the two sides of a call between the services are.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace crosskey {

// One database of one service, however many processes serve it. A copy of the database is the same instance.
struct Instance {
  std::string service;  // "user-service"
  std::string id;       // a UUID that the database is given once; empty: not known

  friend bool operator==(const Instance& a, const Instance& b) { return a.service == b.service && a.id == b.id; }
};

// What a call between the services says of its two sides.
struct Parties {
  Instance caller;
  Instance callee;  // without an id before the first meeting
};

// Decides who may talk to whom. Thread-safe.
class Identity {
 public:
  virtual ~Identity() = default;

  // What the calls of this process say.
  virtual Parties Outgoing() const = 0;
  // Whether the peer may be called. Waits until it has been met, and until `until` at most: then UNAVAILABLE
  // PEER_UNAVAILABLE. FAILED_PRECONDITION PEER_MISMATCH: whoever answers there is another one.
  virtual absl::Status MayCall(absl::Time until) = 0;
  // Whether a call may be taken that says this; nullptr: it says nothing, or not in the right form. FAILED_PRECONDITION
  // PEER_MISMATCH: another one has made it, or it is meant for another one.
  virtual absl::Status MayTake(const Parties* parties) = 0;
};

}  // namespace crosskey
