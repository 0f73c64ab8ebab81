#include "common/db/cluster_locks.h"

#include <algorithm>

#include "common/status/macros.h"

namespace crosskey::db {
namespace {

constexpr char kTable[] = R"(
CREATE TABLE IF NOT EXISTS cluster_locks (
  space {ascii 60} NOT NULL,
  id BIGINT NOT NULL,
  writes BIGINT NOT NULL,
  PRIMARY KEY (space, id)
) {table};
)";

const Sql kLock{"cluster_locks.lock", "INSERT INTO cluster_locks (space, id, writes) VALUES (?, ?, 1) {count_writes}"};
const Sql kFree{"cluster_locks.free",
                "SELECT id FROM cluster_locks WHERE space = ? AND id IN (?) ORDER BY id {update_free}"};
const Sql kTake{"cluster_locks.take", "UPDATE cluster_locks SET writes = writes + 1 WHERE space = ? AND id IN (?)"};
const Sql kForget{"cluster_locks.forget", "DELETE FROM cluster_locks WHERE space = ? AND id IN (?)"};

}  // namespace

Component ClusterLocksSchema() { return {"db.cluster_locks", {{1, "0001_initial", kTable}}}; }

absl::Status LockInCluster(Tx& tx, const std::string& space, std::vector<int64_t> ids) {
  if (!tx.in_cluster() || ids.empty()) return absl::OkStatus();
  std::sort(ids.begin(), ids.end());
  std::vector<std::vector<Argument>> rows;
  for (const int64_t id : ids) rows.push_back({space, id});
  return tx.ExecuteRows(kLock, rows).status();
}

absl::StatusOr<std::vector<int64_t>> LockFreeInCluster(Tx& tx, const std::string& space, std::vector<int64_t> ids) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, tx.Query<int64_t>(kFree, space, ids));
  std::vector<int64_t> free;
  for (const auto& [id] : rows) free.push_back(id);
  if (!free.empty()) CROSSKEY_RETURN_IF_ERROR(tx.Execute(kTake, space, free).status());
  return free;
}

absl::Status ForgetInCluster(Tx& tx, const std::string& space, const std::vector<int64_t>& ids) {
  if (!tx.in_cluster() || ids.empty()) return absl::OkStatus();
  return tx.Execute(kForget, space, ids).status();
}

absl::Status ProveWrites(Tx& tx) { return tx.ExecuteRows(kLock, {{std::string("proof"), int64_t{0}}}).status(); }

}  // namespace crosskey::db
