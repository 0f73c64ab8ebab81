#include "common/db/database.h"

#include <algorithm>
#include <thread>

#include <soci/soci.h>

#include "absl/random/random.h"
#include "common/db/sql_error.h"
#include "common/fault/fault.h"
#include "common/status/errors.h"
#include "common/status/limits.h"
#include "common/telemetry/log.h"

namespace crosskey::db {
namespace {

constexpr char kCommit[] = "transaction.commit";
// A call that waits for a session or a turn gives up this long before its deadline, so that its caller still hears why.
constexpr absl::Duration kToAnswer = absl::Milliseconds(50);
// A call that waits for a session checks this often whether it was cancelled.
constexpr absl::Duration kLook = absl::Milliseconds(100);
// A session that was not used for this part of the time that the server keeps it may end at any moment.
constexpr double kUsable = 0.9;
// All sessions are opened anew so often at most while the server is read-only.
constexpr absl::Duration kLookForPrimary = absl::Seconds(1);

// A full database is not emptier a moment later.
bool MayRunAgain(const absl::Status& status) {
  const auto kind = SqlErrorOf(status);
  return kind.has_value() && Passes(*kind) && kind != SqlError::kFull;
}

// What a client is told of an error that stays for all the retries. Every other error is returned as it is.
absl::Status ForClients(const absl::Status& status, bool writes) {
  switch (SqlErrorOf(status).value_or(SqlError::kOther)) {
    case SqlError::kRetry:
      return WithCause(errors::Conflict(), status);
    case SqlError::kFull:
      if (writes) return WithCause(errors::DatabaseNotWritable("full"), status);
      break;
    case SqlError::kReadOnly:
      if (writes) return WithCause(errors::DatabaseNotWritable("read_only"), status);
      break;
    case SqlError::kConnection:
    case SqlError::kLater:
    case SqlError::kRefused:
      break;
    case SqlError::kDuplicate:
    case SqlError::kForeignKey:
    case SqlError::kNoTable:
    case SqlError::kOther:
      return status;
  }
  return WithCause(errors::DatabaseUnavailable(), status);
}

}  // namespace

struct Database::Slot {
  uint64_t generation = 0;                 // of its session; 0: not open
  std::unique_ptr<Statements> statements;  // of its session; only for who has leased it
  SessionFacts facts;                      // the same
  absl::Time used;                         // until when it was leased; only for who has leased it
};

struct Database::Instruments {
  explicit Instruments(telemetry::Metrics& metrics)
      : in_use(metrics.Gauge("crosskey_db_sessions_in_use", "Sessions of the pool that are leased.")),
        size(metrics.Gauge("crosskey_db_sessions", "Sessions that the pool can have.")),
        lease_wait(metrics.Histogram("crosskey_db_lease_wait_seconds",
                                     "Time spent waiting for a session, and on SQLite for the turn to write.",
                                     {.0001, .001, .005, .025, .1, .5, 1, 5, 30})),
        lease_timeouts(
            metrics.Counter("crosskey_db_lease_timeouts_total", "Calls that got no session within their deadline.")),
        retries(metrics.Counter("crosskey_db_retries_total", "Transactions and reads that were run again.")),
        reconnects(metrics.Counter("crosskey_db_sessions_opened_total", "Sessions opened, at first use or anew.")) {}

  prometheus::Gauge& in_use;
  prometheus::Gauge& size;
  prometheus::Histogram& lease_wait;
  prometheus::Counter& lease_timeouts;
  prometheus::Counter& retries;
  prometheus::Counter& reconnects;
};

// A session of the pool in use; given back in the destructor.
class Database::Lease {
 public:
  Lease(Database* database, size_t position) : database_(database), position_(position) {
    database_->instruments_->in_use.Increment();
  }
  Lease(Lease&& other) noexcept : database_(std::exchange(other.database_, nullptr)), position_(other.position_) {}
  Lease& operator=(Lease&&) = delete;
  ~Lease() {
    if (database_ == nullptr) return;
    database_->instruments_->in_use.Decrement();
    database_->slots_[position_].used = absl::Now();
    database_->GiveBack(position_);
  }

  size_t position() const { return position_; }
  soci::session& session() const { return database_->pool_->at(position_); }
  Statements& statements() const { return *database_->slots_[position_].statements; }
  bool in_cluster() const { return database_->slots_[position_].facts.in_cluster; }

 private:
  Database* database_;
  size_t position_;
};

Database::Database(DatabaseOptions options, telemetry::Metrics& metrics)
    : options_(std::move(options)),
      opener_(options_),
      counts_(metrics),
      pool_(std::make_unique<soci::connection_pool>(static_cast<size_t>(options_.pool_size))),
      slots_(static_cast<size_t>(options_.pool_size)),
      write_health_(metrics),
      instruments_(std::make_unique<Instruments>(metrics)) {
  instruments_->size.Set(options_.pool_size);
}

Database::~Database() = default;

absl::Status Database::OpenIfNeeded(size_t position) {
  if (dialect() == Dialect::kSqlite) CROSSKEY_RETURN_IF_ERROR(opener_.Check());
  const bool is_ending =
      dialect() == Dialect::kMysql && absl::Now() - slots_[position].used > kUsable * options_.idle_timeout;
  bool looks = false;
  {
    std::lock_guard lock(mutex_);
    const bool is_open = slots_[position].generation == generation_ && !is_ending;
    looks = is_open && opener_.has_several_servers() && absl::Now() >= look_again_;
    if (is_open && !looks) return absl::OkStatus();
    if (looks) look_again_ = absl::Now() + options_.look_interval;
  }
  // One of the sessions looks for all of them: they have the same server.
  if (looks && opener_.MayStay(pool_->at(position), slots_[position].facts)) return absl::OkStatus();
  uint64_t generation = 0;
  {
    std::lock_guard lock(mutex_);
    if (looks) DiscardAll(position);
    slots_[position].generation = 0;
    generation = generation_;
  }
  std::unique_ptr<Statements>& statements = slots_[position].statements;
  statements = nullptr;  // before the session is closed that they belong to
  CROSSKEY_RETURN_IF_ERROR(opener_.Open(pool_->at(position), &slots_[position].facts));
  statements = Statements::Of(pool_->at(position), dialect());
  in_cluster_ = slots_[position].facts.in_cluster;
  instruments_->reconnects.Increment();
  std::lock_guard lock(mutex_);
  // The others have the server that was left.
  if (std::exchange(server_, slots_[position].facts.server) != slots_[position].facts.server)
    generation = ++generation_;
  slots_[position].generation = generation;
  return absl::OkStatus();
}

absl::StatusOr<Database::Lease> Database::Acquire(const Call& call) {
  const absl::Time begin = absl::Now();
  const absl::Time until = call.deadline - kToAnswer;
  size_t position = 0;
  const auto lease_in_time = [&] {
    const absl::Duration wait = std::clamp(until - absl::Now(), absl::Milliseconds(1), kLook);
    return pool_->try_lease(position, static_cast<int>(absl::ToInt64Milliseconds(wait)));
  };
  while (!lease_in_time()) {
    if (call.cancelled && call.cancelled()) return call.Check();
    if (absl::Now() < until) continue;
    instruments_->lease_timeouts.Increment();
    return errors::Overloaded("database sessions");
  }
  instruments_->lease_wait.Observe(absl::ToDoubleSeconds(absl::Now() - begin));
  Lease lease(this, position);
  CROSSKEY_RETURN_IF_ERROR(OpenIfNeeded(position));
  return lease;
}

void Database::NoteError(size_t position, const absl::Status& status) {
  const auto kind = SqlErrorOf(status);
  bool looks = false;
  {
    std::lock_guard lock(mutex_);
    if (kind == SqlError::kConnection) {
      DiscardAll(position);
    } else if (kind == SqlError::kReadOnly && absl::Now() - read_only_since_ > kLookForPrimary) {
      read_only_since_ = absl::Now();
      DiscardAll(position);
      looks = true;
    } else if (kind == SqlError::kRefused) {
      slots_[position].generation = 0;
    }
  }
  if (looks) CloseIdle();
}

// Closes a session that is to be opened anew, because none may lie about. After a ROLLBACK that failed it would keep
// its locks on the server. On SQLite all sessions of a process share one index of the log, and where that was opened
// read-only it stays so until the last of them is closed.
void Database::CloseIfOld(size_t position) {
  {
    std::lock_guard lock(mutex_);
    if (slots_[position].generation == generation_) return;
    slots_[position].generation = 0;
  }
  slots_[position].statements = nullptr;
  pool_->at(position).close();
}

void Database::CloseIdle() {
  std::vector<size_t> idle;
  for (size_t position = 0; pool_->try_lease(position, 0);) idle.push_back(position);
  for (const size_t position : idle) GiveBack(position);
}

void Database::GiveBack(size_t position) {
  CloseIfOld(position);
  pool_->give_back(position);
}

// After a restart of the server each session finds its own connection lost. Only the first one raises the generation:
// raised again, it would make sessions that were opened since look dead.
void Database::DiscardAll(size_t position) {
  if (slots_[position].generation == generation_) ++generation_;
  slots_[position].generation = 0;
}

absl::Status Database::Commit(Tx& tx, const char* name) {
  // Tests can inject a fault before and after the COMMIT. Either looks as if the answer to the COMMIT was lost.
  if (!fault::BeforeCommit(name).ok()) return MakeSqlError(SqlError::kConnection, kCommit, "lost before");
  CROSSKEY_RETURN_IF_ERROR(tx.Command(kCommit, "COMMIT"));
  if (!fault::AfterCommit(name).ok()) return MakeSqlError(SqlError::kConnection, kCommit, "lost after");
  return absl::OkStatus();
}

// Waits for the turn to write on SQLite, which allows one writer. Returns nullopt on MySQL, where nobody has to wait.
absl::StatusOr<std::optional<WriterQueue::Turn>> Database::EnterWriters(const Call& call) {
  std::optional<WriterQueue::Turn> turn;
  if (dialect() != Dialect::kSqlite) return turn;
  const absl::Time begin = absl::Now();
  Call waiting = call;
  waiting.deadline -= kToAnswer;
  if (auto entered = writers_.Enter(waiting)) turn.emplace(std::move(*entered));
  instruments_->lease_wait.Observe(absl::ToDoubleSeconds(absl::Now() - begin));
  if (call.cancelled && call.cancelled()) return call.Check();
  if (!turn.has_value()) return errors::Overloaded("database writers");
  return turn;
}

void Database::Discard(size_t position) {
  std::lock_guard lock(mutex_);
  slots_[position].generation = 0;
}

// Whether the error of a COMMIT says for certain that it has not taken effect. SQLite commits by a record in its log,
// which has not been written where there was no room. A server may be out of room elsewhere.
bool Database::SaysNotCommitted(const absl::Status& status) const {
  const auto kind = SqlErrorOf(status);
  return kind == SqlError::kRetry || kind == SqlError::kReadOnly ||
         (kind == SqlError::kFull && dialect() == Dialect::kSqlite);
}

absl::Status Database::TransactOnce(const Call& call, const char* name,
                                    absl::FunctionRef<absl::StatusOr<End>(Tx&)> body, Outcome& outcome,
                                    std::vector<std::function<void()>>& on_commit) {
  // Wait for the turn before taking a session, because writers that wait must not take the sessions away from readers.
  CROSSKEY_ASSIGN_OR_RETURN(const auto turn, EnterWriters(call));
  CROSSKEY_ASSIGN_OR_RETURN(const Lease lease, Acquire(call));
  Tx tx(lease.session(), lease.statements(), dialect(), seam_, &counts_, lease.in_cluster());
  const absl::Status begun =
      tx.Command("transaction.begin", dialect() == Dialect::kSqlite ? "BEGIN IMMEDIATE" : "START TRANSACTION");
  if (!begun.ok()) {
    NoteError(lease.position(), begun);
    return begun;
  }
  absl::StatusOr<End> end = End::kRollBack;
  try {
    end = body(tx);
  } catch (const std::exception&) {
    // Memory may have run out, for example. The transaction has to be rolled back all the same: if the session went
    // back to the pool with the transaction open, the next one on it would commit it.
    end = absl::InternalError("an exception in the body of a transaction");
  }
  const bool commits = end.ok() && *end == End::kCommit;
  // The body may have waited for locks for so long that nobody waits for the result any more. Do not commit then.
  absl::Status status = end.ok() ? call.Check() : end.status();
  if (status.ok() && commits) {
    status = Commit(tx, name);
    if (!status.ok() && !SaysNotCommitted(status)) outcome = Outcome::kUnknown;
  }
  if (!status.ok() || !commits) {
    NoteError(lease.position(), status);
    if (!tx.Command("transaction.rollback", "ROLLBACK").ok()) Discard(lease.position());
    return status;
  }
  // Without a change a transaction says nothing of whether the database takes some.
  if (tx.has_changed()) write_health_.Committed(absl::Now());
  on_commit = std::move(tx.on_commit_);
  return status;
}

absl::Status Database::ReadOnce(const Call& call, absl::FunctionRef<absl::Status(Connection&)> body) {
  CROSSKEY_ASSIGN_OR_RETURN(const Lease lease, Acquire(call));
  Connection connection(lease.session(), lease.statements(), dialect(), seam_, &counts_, lease.in_cluster());
  absl::Status status = body(connection);
  NoteError(lease.position(), status);
  return status;
}

absl::Status Database::Retry(const Call& call, const char* name, bool writes,
                             absl::FunctionRef<absl::Status(Outcome&)> attempt) {
  static thread_local absl::BitGen random;
  absl::Status status;
  for (int tries = 0;; ++tries) {
    if (tries > 0) {
      instruments_->retries.Increment();
      const absl::Duration pause =
          absl::Milliseconds(5 << std::min(tries, limits::kTransactionRetries)) * absl::Uniform(random, 0.5, 1.5);
      std::this_thread::sleep_for(absl::ToChronoMilliseconds(std::min(pause, call.Remaining())));
    }
    CROSSKEY_RETURN_IF_ERROR(call.Check());
    Outcome outcome = Outcome::kDone;
    status = attempt(outcome);
    if (outcome == Outcome::kUnknown) {
      log::Warning("the answer to a COMMIT was lost",
                   {{"transaction", name}, {"error", std::string(status.message())}});
      if (writes) NoteFailure(status);
      return WithCause(errors::DatabaseUnavailable(), status);
    }
    const bool meets_others = in_cluster_ && SqlErrorOf(status) == SqlError::kRetry;
    if (!MayRunAgain(status) || tries >= (meets_others ? limits::kClusterRetries : limits::kTransactionRetries)) break;
  }
  if (status.ok()) return status;
  if (writes) NoteFailure(status);
  if (MayRunAgain(status) && write_health_.Problem().empty()) {
    log::Warning("gave up after retries", {{"transaction", name}, {"error", std::string(status.message())}});
  }
  return ForClients(status, writes);
}

void Database::NoteFailure(const absl::Status& status) {
  write_health_.Failed(SqlErrorOf(status).value_or(SqlError::kOther), std::string(status.message()), absl::Now());
}

absl::Status Database::RunTransaction(const Call& call, const char* name,
                                      absl::FunctionRef<absl::StatusOr<End>(Tx&)> body) {
  std::vector<std::function<void()>> on_commit;
  CROSSKEY_RETURN_IF_ERROR(
      Retry(call, name, true, [&](Outcome& outcome) { return TransactOnce(call, name, body, outcome, on_commit); }));
  // The session has been given back by now, so these functions may use the database.
  for (const auto& then : on_commit) then();
  return absl::OkStatus();
}

absl::Status Database::RunRead(const Call& call, absl::FunctionRef<absl::Status(Connection&)> body) {
  return Retry(call, "read", false, [&](Outcome&) { return ReadOnce(call, body); });
}

}  // namespace crosskey::db
