// db::Database: transactions, the errors after which they are run again, and the wait for a session.
#include <atomic>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "common/db/sql_error.h"
#include "common/status/limits.h"
#include "tests/conformance/storage.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using absl::StatusCode;

absl::Status InsertItem(db::Tx& tx, const std::string& name) { return tx.Insert(kInsertItem, name).status(); }

class DbTransact : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(DbTransact);

TEST_P(DbTransact, StoresWhatABodyDidThatReturnsOk) {
  Storage storage(GetParam());
  EXPECT_THAT(storage.database.Transact(TestCall(), "test", [](db::Tx& tx) { return InsertItem(tx, "a"); }), IsOk());
  EXPECT_EQ(storage.Names(), "a");
}

TEST_P(DbTransact, StoresNothingOfABodyThatReturnsAnError) {
  Storage storage(GetParam(), 1);
  EXPECT_THAT(storage.database.Transact(TestCall(), "test",
                                        [](db::Tx& tx) -> absl::Status {
                                          CROSSKEY_RETURN_IF_ERROR(InsertItem(tx, "a"));
                                          return absl::NotFoundError("the body's own");
                                        }),
              StatusIs(StatusCode::kNotFound, ""));
  EXPECT_EQ(storage.Names(), "");
  // This runs on the same session, which must have nothing left of the first transaction.
  EXPECT_THAT(storage.database.Transact(TestCall(), "test", [](db::Tx& tx) { return InsertItem(tx, "b"); }), IsOk());
  EXPECT_EQ(storage.Names(), "b");
}

TEST_P(DbTransact, GivesTheDatabasesOwnErrorToTheCaller) {
  Storage storage(GetParam());
  int runs = 0;
  const absl::Status status = storage.database.Transact(TestCall(), "test", [&](db::Tx& tx) {
    ++runs;
    return tx.Execute({"test.nonsense", "NONSENSE"}).status();
  });
  EXPECT_EQ(db::SqlErrorOf(status), db::SqlError::kOther);
  EXPECT_EQ(runs, 1);
}

TEST_P(DbTransact, GivesUpWithConflictAndNothingStored) {
  Storage storage(GetParam());
  int runs = 0;
  const absl::Status status = storage.database.Transact(TestCall(), "test", [&](db::Tx& tx) -> absl::Status {
    ++runs;
    CROSSKEY_RETURN_IF_ERROR(InsertItem(tx, "a"));
    return db::MakeSqlError(db::SqlError::kRetry, "test", "always in conflict");
  });
  EXPECT_THAT(status, StatusIs(StatusCode::kAborted, "CONFLICT"));
  EXPECT_EQ(runs, 1 + limits::kTransactionRetries);
  EXPECT_EQ(storage.Names(), "");
}

TEST_P(DbTransact, RunsNothingForACancelledCall) {
  Storage storage(GetParam());
  Call call = TestCall();
  call.cancelled = [] { return true; };
  int runs = 0;
  EXPECT_THAT(storage.database.Transact(call, "test", [&](db::Tx&) { return ++runs, absl::OkStatus(); }),
              StatusIs(StatusCode::kCancelled, ""));
  EXPECT_THAT(storage.database.Read(call, [&](db::Connection&) { return ++runs, absl::OkStatus(); }),
              StatusIs(StatusCode::kCancelled, ""));
  EXPECT_EQ(runs, 0);
}

TEST_P(DbTransact, DoesNotRepeatForACallCancelledMeanwhile) {
  Storage storage(GetParam());
  int runs = 0;
  Call call = TestCall();
  call.cancelled = [&] { return runs > 0; };
  EXPECT_THAT(storage.database.Transact(call, "test",
                                        [&](db::Tx&) {
                                          ++runs;
                                          return db::MakeSqlError(db::SqlError::kRetry, "test", "conflict");
                                        }),
              StatusIs(StatusCode::kCancelled, ""));
  EXPECT_EQ(runs, 1);
}

TEST_P(DbTransact, IsOverloadedWhenNoSessionComesFreeInTheDeadline) {
  Storage storage(GetParam(), 1);
  int inner = 0;
  const auto hold = [&](db::Connection&) {
    EXPECT_THAT(storage.database.Read(Call::Background(absl::Milliseconds(30)),
                                      [&](db::Connection&) { return ++inner, absl::OkStatus(); }),
                StatusIs(StatusCode::kResourceExhausted, "OVERLOADED"));
    EXPECT_THAT(storage.database.Transact(Call::Background(absl::Milliseconds(30)), "test",
                                          [&](db::Tx&) { return ++inner, absl::OkStatus(); }),
                StatusIs(StatusCode::kResourceExhausted, "OVERLOADED"));
    return absl::OkStatus();
  };
  EXPECT_THAT(storage.database.Read(TestCall(), hold), IsOk());
  EXPECT_EQ(inner, 0);
  EXPECT_EQ(MetricOf(storage.metrics, "crosskey_db_lease_timeouts_total"), 2);
}

// The wait adds a fraction of a second to the clock's own. If their sum is not carried into the seconds, it is no valid
// time, and the wait fails.
TEST_P(DbTransact, WaitsForASessionWhateverTheFractionOfTheDeadline) {
  Storage storage(GetParam(), 1);
  std::atomic<int> asked = 0;
  Call patient = Call::Background(absl::Milliseconds(20'995));
  patient.cancelled = [&] { return ++asked, false; };
  std::thread waiter;
  EXPECT_THAT(storage.database.Read(TestCall(),
                                    [&](db::Connection&) {
                                      waiter = std::thread([&] {
                                        EXPECT_THAT(storage.database.Read(
                                                        patient, [](db::Connection&) { return absl::OkStatus(); }),
                                                    IsOk());
                                      });
                                      EXPECT_TRUE(WaitFor([&] { return asked > 0; }));
                                      return absl::OkStatus();
                                    }),
              IsOk());
  waiter.join();
}

class DbTransactOnServer : public DatabaseTest {
 protected:
  // Renames the items with the ids `first` and `second`, in this order and in one transaction. Calls `meet` between the
  // two, in every run.
  static absl::Status RenameBoth(db::Database& database, int first, int second, const std::string& name,
                                 const std::function<void()>& meet) {
    return database.Transact(TestCall(), "test", [&](db::Tx& tx) -> absl::Status {
      CROSSKEY_RETURN_IF_ERROR(tx.Execute(kRenameItem, name, first).status());
      meet();
      return tx.Execute(kRenameItem, name, second).status();
    });
  }
};
CROSSKEY_ON_EVERY_SERVER(DbTransactOnServer);

TEST_P(DbTransactOnServer, RunsTheVictimOfADeadlockAgain) {
  Storage storage(GetParam());
  storage.own.Run("INSERT INTO items (name) VALUES ('x'), ('y')");
  std::atomic<int> runs = 0;
  const auto meet = [&] {
    ++runs;
    EXPECT_TRUE(WaitFor([&] { return runs >= 2; }));
  };
  std::thread other([&] { EXPECT_THAT(RenameBoth(storage.database, 2, 1, "b", meet), IsOk()); });
  EXPECT_THAT(RenameBoth(storage.database, 1, 2, "a", meet), IsOk());
  other.join();
  EXPECT_EQ(runs, 3);
  EXPECT_EQ(storage.Retries(), 1);
  EXPECT_TRUE(storage.Names() == "a,a" || storage.Names() == "b,b") << storage.Names();
}

TEST_P(DbTransactOnServer, RunsTheWholeBodyAgainAfterALockTimeout) {
  Storage storage(GetParam(), 1);
  storage.own.Run("INSERT INTO items (name) VALUES ('x')");
  OtherSession other(storage.own);
  other.Run("START TRANSACTION");
  other.Run("SELECT id FROM items WHERE id = 1 FOR UPDATE");
  int runs = 0;
  const Call call = CallWithHook([&](int attempt) {
    if (attempt == 2) other.Run("COMMIT");
  });
  EXPECT_THAT(storage.database.Transact(call, "test",
                                        [&](db::Tx& tx) -> absl::Status {
                                          ++runs;
                                          CROSSKEY_RETURN_IF_ERROR(
                                              tx.Command("test.hurry", "SET SESSION innodb_lock_wait_timeout = 1"));
                                          // Error 1205 undoes only the statement that waited. This row
                                          // must be undone as well, or there would be two of them.
                                          CROSSKEY_RETURN_IF_ERROR(InsertItem(tx, "y"));
                                          return tx.Execute(kRenameItem, "a", 1).status();
                                        }),
              IsOk());
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(storage.Names(), "a,y");
}

TEST_P(DbTransactOnServer, DoesNotRepeatACommitWhoseAnswerIsLost) {
  Storage storage(GetParam());
  int runs = 0;
  EXPECT_THAT(storage.database.Transact(TestCall(), "test",
                                        [&](db::Tx& tx) -> absl::Status {
                                          ++runs;
                                          CROSSKEY_RETURN_IF_ERROR(InsertItem(tx, "a"));
                                          Kill(storage.own, SessionId(tx));
                                          return absl::OkStatus();
                                        }),
              StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  EXPECT_EQ(runs, 1);
  EXPECT_THAT(storage.database.Transact(TestCall(), "test", [](db::Tx& tx) { return InsertItem(tx, "b"); }), IsOk());
  EXPECT_EQ(storage.Names(), "b");
}

TEST_P(DbTransactOnServer, RunsABodyThatLostItsConnectionAgainOnANewSession) {
  Storage storage(GetParam());
  std::vector<int64_t> sessions;
  EXPECT_THAT(storage.database.Transact(TestCall(), "test",
                                        [&](db::Tx& tx) -> absl::Status {
                                          sessions.push_back(SessionId(tx));
                                          CROSSKEY_RETURN_IF_ERROR(InsertItem(tx, "a"));
                                          if (sessions.size() == 1) Kill(storage.own, sessions.front());
                                          return InsertItem(tx, "b");
                                        }),
              IsOk());
  ASSERT_EQ(sessions.size(), 2U);
  EXPECT_NE(sessions[0], sessions[1]);
  EXPECT_EQ(storage.Names(), "a,b");
}

TEST_P(DbTransactOnServer, RunsAReadThatLostItsConnectionAgain) {
  Storage storage(GetParam());
  int runs = 0;
  EXPECT_THAT(storage.database.Read(TestCall(),
                                    [&](db::Connection& connection) {
                                      if (++runs == 1) Kill(storage.own, SessionId(connection));
                                      return connection.QueryOne<int64_t>(kCountItems).status();
                                    }),
              IsOk());
  EXPECT_EQ(runs, 2);
}

// Leases `count` sessions at the same time, by reads within reads, and adds the ids of the sessions to `ids`.
absl::Status LeaseAtOnce(db::Database& database, size_t count, std::vector<int64_t>& ids) {
  if (count == 0) return absl::OkStatus();
  return database.Read(TestCall(), [&](db::Connection& connection) {
    ids.push_back(SessionId(connection));
    return LeaseAtOnce(database, count - 1, ids);
  });
}

TEST_P(DbTransactOnServer, OneDeadSessionIsEnoughToOpenAllOfThemAnew) {
  Storage storage(GetParam(), 4);
  std::vector<int64_t> before;
  ASSERT_THAT(LeaseAtOnce(storage.database, 4, before), IsOk());
  for (const int64_t id : before) Kill(storage.own, id);

  EXPECT_THAT(storage.database.Transact(TestCall(), "test", [](db::Tx& tx) { return InsertItem(tx, "a"); }), IsOk());
  std::vector<int64_t> after;
  ASSERT_THAT(LeaseAtOnce(storage.database, 4, after), IsOk());
  EXPECT_EQ(storage.Retries(), 1);
  EXPECT_EQ(after.size(), 4U);
}

TEST(DbTransactOnSqlite, WaitsForTheWriterOfAnotherProcess) {
  Storage storage("sqlite", 1);
  // Makes the pool's only session wait for a lock for 1 ms instead of five seconds, so that the test is quick.
  ASSERT_THAT(storage.database.Read(TestCall(),
                                    [](db::Connection& connection) {
                                      return connection.Command("test.hurry", "PRAGMA busy_timeout = 1");
                                    }),
              IsOk());
  OtherSession other(storage.own);
  other.Run("BEGIN IMMEDIATE");
  int runs = 0;
  const Call call = CallWithHook([&](int look) {
    if (look == 5) other.Run("COMMIT");  // in the third attempt: each looks before and after its wait for the turn
  });
  EXPECT_THAT(storage.database.Transact(call, "test", [&](db::Tx& tx) { return ++runs, InsertItem(tx, "a"); }), IsOk());
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(storage.Retries(), 2);

  other.Run("BEGIN IMMEDIATE");
  EXPECT_THAT(storage.database.Transact(TestCall(), "test", [&](db::Tx& tx) { return ++runs, InsertItem(tx, "b"); }),
              StatusIs(StatusCode::kAborted, "CONFLICT"));
  EXPECT_EQ(runs, 1);
}

TEST(DbTransactOnSqlite, WritersThatWaitHoldNoSession) {
  Storage storage("sqlite", 2);
  std::atomic<int> asked = 0;
  std::vector<std::thread> writers;
  EXPECT_THAT(storage.database.Transact(
                  TestCall(), "test",
                  [&](db::Tx& tx) -> absl::Status {
                    for (int i = 0; i < 4; ++i) {
                      writers.emplace_back([&] {
                        // A writer that waits for its turn is asked again and again: each counts once.
                        Call call = CallWithHook([&](int n) { asked += n == 1; });
                        EXPECT_THAT(
                            storage.database.Transact(call, "test", [](db::Tx& own) { return InsertItem(own, "w"); }),
                            IsOk());
                      });
                    }
                    EXPECT_TRUE(WaitFor([&] { return asked == 4; }));
                    for (int i = 0; i < 20; ++i) {
                      EXPECT_THAT(storage.database.Read(Call::Background(absl::Seconds(5)),
                                                        [](db::Connection& connection) {
                                                          return connection.QueryOne<int64_t>(kCountItems).status();
                                                        }),
                                  IsOk());
                    }
                    return InsertItem(tx, "first");
                  }),
              IsOk());
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(storage.Names(), "first,w,w,w,w");
}

TEST(DbTransactOnSqlite, AWriterThatGetsNoTurnInItsDeadlineIsOverloaded) {
  Storage storage("sqlite");
  int inner = 0;
  EXPECT_THAT(storage.database.Transact(TestCall(), "test",
                                        [&](db::Tx&) {
                                          const Call hurried = Call::Background(absl::Milliseconds(30));
                                          EXPECT_THAT(
                                              storage.database.Transact(
                                                  hurried, "test", [&](db::Tx&) { return ++inner, absl::OkStatus(); }),
                                              StatusIs(StatusCode::kResourceExhausted, "OVERLOADED"));
                                          return absl::OkStatus();
                                        }),
              IsOk());
  EXPECT_EQ(inner, 0);
}

TEST(WriterQueue, IsFirstComeFirstServed) {
  db::WriterQueue queue;
  std::mutex mutex;
  std::vector<int> order;
  std::vector<std::thread> writers;
  {
    const auto turn = queue.Enter(TestCall());
    for (int i = 0; i < 8; ++i) {
      writers.emplace_back([&, i] {
        const auto own = queue.Enter(TestCall());
        std::lock_guard lock(mutex);
        order.push_back(i);
      });
      EXPECT_TRUE(WaitFor([&] { return queue.size() == static_cast<size_t>(i) + 2; }));
    }
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST(WriterQueue, WhoGivesUpHoldsUpNobody) {
  db::WriterQueue queue;
  std::thread last;
  {
    const auto turn = queue.Enter(TestCall());
    ASSERT_TRUE(turn.has_value());
    std::thread impatient([&] { EXPECT_FALSE(queue.Enter(Call::Background(absl::Milliseconds(50))).has_value()); });
    EXPECT_TRUE(WaitFor([&] { return queue.size() == 2; }));
    last = std::thread([&] { EXPECT_TRUE(queue.Enter(TestCall()).has_value()); });
    impatient.join();
    EXPECT_TRUE(WaitFor([&] { return queue.size() == 2; }));
  }
  last.join();
  EXPECT_EQ(queue.size(), 0U);
}

}  // namespace
}  // namespace crosskey::testing
