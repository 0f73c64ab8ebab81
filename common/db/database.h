// One database: a pool of sessions, and transactions that are run again after a conflict or a lost connection.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/db/connection.h"
#include "common/db/open_session.h"
#include "common/db/statement_counts.h"
#include "common/db/transaction_result.h"
#include "common/db/write_health.h"
#include "common/db/writer_queue.h"
#include "common/status/call.h"
#include "common/telemetry/metrics.h"

namespace soci {
class connection_pool;
}

namespace crosskey::db {

struct DatabaseOptions : SessionOptions {
  int pool_size = 16;
  absl::Duration look_interval = absl::Seconds(1);  // of several servers: whether the one that is used takes writes
};

// Thread-safe. A session is opened when it is first used, so a database that is away at start is no error.
//
// Errors, besides those that a body returns itself: RESOURCE_EXHAUSTED OVERLOADED (until shortly before the call's
// deadline there was no free session or, on SQLite, no turn to write), ABORTED CONFLICT (after the last retry),
// UNAVAILABLE DATABASE_UNAVAILABLE (away, busy, or it does not let us), UNAVAILABLE DATABASE_NOT_WRITABLE (full or
// read-only), CANCELLED, DEADLINE_EXCEEDED. Any other error of the database is returned as sql_error.h makes it.
//
// Broken sessions: a session that failed to roll back, or was not allowed something, is closed, and opened anew before
// its next use. A lost connection can mean that the server was restarted, and then the connections of all sessions are
// dead. A read-only server can mean that another server is the primary by now. So after either every session that was
// opened before that moment is opened anew before its next use; after the latter once a second at most, because a
// server can stay read-only. A session on a server that can only be read is opened anew once another one has found a
// server that takes writes. And so is a session that was not used for almost as long as the server keeps it.
//
// A read that finds the database full or read-only (a temporary table, for example) gets DATABASE_UNAVAILABLE.
class Database {
 public:
  Database(DatabaseOptions options, telemetry::Metrics& metrics);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Dialect dialect() const { return options_.url.dialect; }

  // Runs `body` in a write transaction. Commits if `body` returns OK and the call is neither cancelled nor past its
  // deadline, else rolls back. `name` is the transaction's name in logs and fault points (common/fault/points.h).
  // `body` takes a Tx& and returns absl::Status or absl::StatusOr<T>. With T = Either<...> (transaction_result.h) it
  // can roll back without an error. Returns the last result of `body`.
  //
  // On SQLite the transaction holds the write lock from its beginning. After a deadlock, a lock timeout, a lost
  // connection or another error that passes, the whole body is run again, at most limits::kTransactionRetries times (on
  // Galera limits::kClusterRetries) with a growing pause, so its
  // side effects can happen several times. OK: committed and durable (or rolled back as asked). An error: nothing is
  // stored, with one exception: UNAVAILABLE can mean that the answer to the COMMIT was lost. The body is not run again
  // then, because the COMMIT may have taken effect.
  template <typename Body>
  std::invoke_result_t<Body&, Tx&> Transact(const Call& call, const char* name, Body&& body) {
    std::optional<std::invoke_result_t<Body&, Tx&>> result;
    const absl::Status status = RunTransaction(call, name, [&](Tx& tx) {
      result.emplace(body(tx));
      return EndOf(*result);
    });
    if (!status.ok()) return status;
    return *std::move(result);
  }

  // Runs `body`, which takes a Connection&, outside a transaction: every statement sees what is committed when it
  // begins. The body's results, and when it is run again, are as with Transact.
  template <typename Body>
  std::invoke_result_t<Body&, Connection&> Read(const Call& call, Body&& body) {
    std::optional<std::invoke_result_t<Body&, Connection&>> result;
    const absl::Status status = RunRead(call, [&](Connection& connection) {
      result.emplace(body(connection));
      return EndOf(*result).status();
    });
    if (!status.ok()) return status;
    return *std::move(result);
  }

  // Why the database takes no changes; empty if it does. See WriteHealth.
  std::string WriteProblem() const { return write_health_.Problem(); }

  // For tests. Set before the first use.
  void set_seam(StatementSeam seam) { seam_ = std::move(seam); }

 private:
  struct Slot;
  class Lease;
  struct Instruments;
  enum class Outcome { kDone, kUnknown };

  absl::Status RunTransaction(const Call& call, const char* name, absl::FunctionRef<absl::StatusOr<End>(Tx&)> body);
  absl::Status RunRead(const Call& call, absl::FunctionRef<absl::Status(Connection&)> body);
  absl::StatusOr<Lease> Acquire(const Call& call);
  absl::Status OpenIfNeeded(size_t position);
  absl::Status Retry(const Call& call, const char* name, bool writes,
                     absl::FunctionRef<absl::Status(Outcome&)> attempt);
  void NoteFailure(const absl::Status& status);
  absl::Status Commit(Tx& tx, const char* name);
  absl::StatusOr<std::optional<WriterQueue::Turn>> EnterWriters(const Call& call);
  absl::Status TransactOnce(const Call& call, const char* name, absl::FunctionRef<absl::StatusOr<End>(Tx&)> body,
                            Outcome& outcome, std::vector<std::function<void()>>& on_commit);
  absl::Status ReadOnce(const Call& call, absl::FunctionRef<absl::Status(Connection&)> body);
  void NoteError(size_t position, const absl::Status& status);
  void CloseIfOld(size_t position);
  void CloseIdle();
  void GiveBack(size_t position);
  void DiscardAll(size_t position);
  void Discard(size_t position);
  bool SaysNotCommitted(const absl::Status& status) const;

  const DatabaseOptions options_;
  SessionOpener opener_;
  StatementSeam seam_;
  StatementCounts counts_;
  std::unique_ptr<soci::connection_pool> pool_;
  WriterQueue writers_;  // SQLite only

  std::mutex mutex_;                                   // guards slots_ and generation_
  std::vector<Slot> slots_;                            // by pool position
  std::atomic<bool> in_cluster_ = false;               // whether the session that was opened last is
  uint64_t generation_ = 1;                            // raised when all sessions are to be opened anew
  absl::Time read_only_since_ = absl::InfinitePast();  // when it was last raised because of that
  absl::Time look_again_ = absl::InfinitePast();       // before that nobody looks whether the server takes writes
  size_t server_ = 0;                                  // of those of the URL, the one of all open sessions
  WriteHealth write_health_;
  std::unique_ptr<Instruments> instruments_;
};

}  // namespace crosskey::db
