// For the tests of storage and events: a database with a pool, and sessions beside that pool.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <soci/soci.h>

#include "common/db/database.h"
#include "common/telemetry/metrics.h"
#include "tests/support/metric_of.h"
#include "tests/support/test_database.h"

namespace crosskey::testing {

db::DatabaseOptions OptionsFor(const TestDatabase& database, int pool_size = 4);

// A database with a table `items (id, name)`, and a pool on it.
struct Storage {
  explicit Storage(const std::string& backend, int pool_size = 4);

  std::string Names() const;  // of the items, by id, with commas between them
  double Retries() { return MetricOf(metrics, "crosskey_db_retries_total"); }

  TestDatabase own;
  telemetry::Metrics metrics;
  db::Database database;
};

// A session outside of the pool and its writer queue, as another process has one. Each statement must succeed.
class OtherSession {
 public:
  explicit OtherSession(const TestDatabase& database);

  void Run(const std::string& sql);

 private:
  soci::session session_;
};

// MySQL only: the id of a session, and a way to end it. Kill returns when the server has let go of what the session
// held.
int64_t SessionId(db::Connection& connection);
void Kill(const TestDatabase& database, int64_t session_id);

// A statement that any database answers.
absl::Status ReadOne(db::Connection& connection);

inline Call TestCall() { return Call::Background(absl::Seconds(60)); }

// A call that runs `hook(n)` when it is asked for the n-th time whether it is cancelled. That happens before each
// attempt at a transaction, on SQLite again after the wait for the turn to write, and after a body that returns OK.
Call CallWithHook(std::function<void(int)> hook);

inline const db::Sql kInsertItem{"items.insert", "INSERT INTO items (name) VALUES (?)"};
inline const db::Sql kRenameItem{"items.rename", "UPDATE items SET name = ? WHERE id = ?"};
inline const db::Sql kCountItems{"items.count", "SELECT COUNT(*) FROM items"};

}  // namespace crosskey::testing
