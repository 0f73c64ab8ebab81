#include "common/events/position.h"

#include "common/db/cluster_locks.h"

namespace crosskey::events {

absl::Status LockPosition(db::Tx& tx, const std::string& feed) {
  return db::LockInCluster(tx, "checkpoints." + feed, {0});
}

}  // namespace crosskey::events
