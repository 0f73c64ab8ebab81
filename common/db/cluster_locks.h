// Locks that hold on every server of a cluster.
//
// On a cluster whose servers all take writes (Galera), a lock of a row is known to its server alone. What is compared
// when a transaction commits is what it has written: of two transactions that have written one row at once, on
// different servers, the later one fails (1213) and is run again. So a lock has to be a write there. Measured: without
// it 541 of 944 users were deleted by RESTRICT although a post was left; FOR UPDATE is no better.
//
// Whoever takes such a lock also takes the lock of the row that it is about, which is what excludes others on the same
// server. On any other kind of server the functions do nothing, but for ProveWrites.
//
// The technique is certification: Pedone et al., "The Database State Machine Approach", 2003.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/db/connection.h"
#include "common/db/migrations.h"

namespace crosskey::db {

// The table of the locks. A lock is a row that counts how often it was taken.
Component ClusterLocksSchema();

// Takes the locks of these ids, by ascending id. `space` says what the ids are of, such as "user_refs". Waits for
// whoever has taken one on the same server.
absl::Status LockInCluster(Tx& tx, const std::string& space, std::vector<int64_t> ids);

// Takes those of the locks that nobody on the same server has, and returns their ids. A lock that was never taken is
// not among them: LockInCluster makes it. Only to be called in a cluster.
absl::StatusOr<std::vector<int64_t>> LockFreeInCluster(Tx& tx, const std::string& space, std::vector<int64_t> ids);

// Removes locks that the transaction has taken: what they were about is gone, or never was.
absl::Status ForgetInCluster(Tx& tx, const std::string& space, const std::vector<int64_t>& ids);

// Counts one row up, on any kind of server. So the COMMIT of the transaction proves that the database takes writes.
absl::Status ProveWrites(Tx& tx);

}  // namespace crosskey::db
