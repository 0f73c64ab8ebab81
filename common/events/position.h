// The position in a feed, as something that is locked.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/db/connection.h"

namespace crosskey::events {

// What the lock of a checkpoint is on one server, these are on all of a cluster (common/db/cluster_locks.h). To be
// called before the checkpoint itself is locked.
//
// Shared: whoever reads the position for a fence takes one of 64 locks, by the id of the row that it is about. So those
// who do that for different rows seldom meet. A deletion event that is consumed meanwhile is not what this is against:
// the reference rows are locked for that.
absl::Status LockPosition(db::Tx& tx, const std::string& feed, int64_t id);
// Exclusive: whoever changes whether the feed is consumed, or begins a new history of it, takes all of them.
absl::Status LockWholePosition(db::Tx& tx, const std::string& feed);

}  // namespace crosskey::events
