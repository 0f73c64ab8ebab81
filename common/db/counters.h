// The counters that give rows their ids.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/db/database.h"

namespace crosskey::db {

// The highest id that the counter of this table has given, whether its row is still there or not; 0: none. An id that
// is given by a transaction which has not committed counts.
absl::StatusOr<int64_t> HighestGiven(Connection& connection, const std::string& table);

// Raises the counter, so that it never gives `id` or a lower one again. Does nothing if it is higher. MySQL changes the
// table for that, which needs the privilege ALTER and waits for transactions that use the table, as long as a lock may
// be waited for.
absl::Status RaiseCounter(Database& database, const Call& call, const std::string& table, int64_t id);

}  // namespace crosskey::db
