// The position in a feed, as something that is locked.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/db/connection.h"

namespace crosskey::events {

// What the shared lock of the statement `consumer.fence` is on one server, this is on all of a cluster: of two
// transactions that lock the position of a feed at once, one fails. To be called before the checkpoint is locked, by
// whoever reads it for a fence, and by whoever moves it or changes whether the feed is consumed.
absl::Status LockPosition(db::Tx& tx, const std::string& feed);

}  // namespace crosskey::events
