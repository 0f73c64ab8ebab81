#include "common/events/position.h"

#include <numeric>
#include <vector>

#include "common/db/cluster_locks.h"

namespace crosskey::events {
namespace {

constexpr int64_t kStripes = 64;

std::string SpaceOf(const std::string& feed) { return "checkpoints." + feed; }

}  // namespace

absl::Status LockPosition(db::Tx& tx, const std::string& feed, int64_t id) {
  if (!tx.in_cluster()) return absl::OkStatus();
  return db::LockInCluster(tx, SpaceOf(feed), {id % kStripes});
}

absl::Status LockWholePosition(db::Tx& tx, const std::string& feed) {
  std::vector<int64_t> all(kStripes);
  std::iota(all.begin(), all.end(), 0);
  return db::LockInCluster(tx, SpaceOf(feed), std::move(all));
}

}  // namespace crosskey::events
