// Prepared statements: they are kept, in a bounded number, and go on when the session or the tables change.
#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/db/kept.h"
#include "common/db/sql_error.h"
#include "common/db/statements.h"
#include "tests/conformance/storage.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {
namespace {

using ::testing::ElementsAre;

// One of many statements with different texts.
db::Sql Nth(int n) { return {"test.nth", absl::StrCat("SELECT ", n, " + ? AS n")}; }

const db::Sql kNames{"items.names", "SELECT name FROM items ORDER BY id LIMIT 100"};

class DbStatements : public DatabaseTest {
 protected:
  // One session, so that all statements are its own.
  explicit DbStatements() : storage_(GetParam(), 1) {}

  int64_t Answer(const db::Sql& sql, int64_t value) {
    const auto answer =
        storage_.database.Read(TestCall(), [&](db::Connection& c) { return c.QueryOne<int64_t>(sql, value); });
    EXPECT_THAT(answer, IsOk());
    return answer.ok() && answer->has_value() ? std::get<0>(**answer) : -1;
  }

  std::vector<std::string> Names() {
    std::vector<std::string> names;
    const auto rows =
        storage_.database.Read(TestCall(), [](db::Connection& c) { return c.Query<std::string>(kNames); });
    EXPECT_THAT(rows, IsOk());
    if (rows.ok()) {
      for (const auto& [name] : *rows) names.push_back(name);
    }
    return names;
  }

  void Insert(const std::string& name) {
    EXPECT_THAT(storage_.database.Transact(TestCall(), "test",
                                           [&](db::Tx& tx) { return tx.Execute(kInsertItem, name).status(); }),
                IsOk());
  }

  // How many statements all sessions of the server keep.
  int64_t KeptByServer() {
    return std::stoll(storage_.own.Query("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'").at(0).at(1));
  }

  Storage storage_;
};
CROSSKEY_ON_EVERY_DATABASE(DbStatements);

class DbStatementsOnServer : public DbStatements {};
CROSSKEY_ON_EVERY_SERVER(DbStatementsOnServer);

TEST_P(DbStatements, MoreThanAreKeptAllRun) {
  const int more = 3 * static_cast<int>(db::kKeptStatements);
  for (int round = 0; round < 2; ++round) {
    for (int n = 0; n < more; ++n) ASSERT_EQ(Answer(Nth(n), 1), n + 1);
  }
}

// Those that are given up in the middle of a transaction take nothing of it with them.
TEST_P(DbStatements, MoreThanAreKeptRunInOneTransaction) {
  const int more = 2 * static_cast<int>(db::kKeptStatements);
  const auto insert = [](int n) {
    return db::Sql{"items.nth", "INSERT INTO items (name) VALUES (?)" + std::string(static_cast<size_t>(n), ' ')};
  };
  EXPECT_THAT(
      storage_.database.Transact(TestCall(), "test",
                                 [&](db::Tx& tx) -> absl::Status {
                                   for (int n = 0; n < more; ++n) {
                                     CROSSKEY_RETURN_IF_ERROR(tx.Execute(insert(n), absl::StrCat("item ", n)).status());
                                   }
                                   return absl::OkStatus();
                                 }),
      IsOk());
  std::vector<std::string> names;
  for (int n = 0; n < more; ++n) names.push_back(absl::StrCat("item ", n));
  names.resize(100);  // as many as are read
  EXPECT_EQ(Names(), names);
  EXPECT_EQ(storage_.own.Number("SELECT COUNT(*) FROM items"), more);
}

TEST_P(DbStatements, RunAgainWithOtherValues) {
  for (const int64_t value : {1, 2, 3}) EXPECT_EQ(Answer(Nth(10), value), 10 + value);
  Insert("a");
  Insert("b");
  EXPECT_THAT(Names(), ElementsAre("a", "b"));
}

TEST_P(DbStatements, AnErrorDoesNotSpoilTheNextRun) {
  // The id is there already: the statement fails, and is used again.
  const db::Sql insert{"items.insert_id", "INSERT INTO items (id, name) VALUES (?, 'x')"};
  const auto run = [&](int64_t id) {
    return storage_.database.Transact(TestCall(), "test", [&](db::Tx& tx) { return tx.Execute(insert, id).status(); });
  };
  EXPECT_THAT(run(1), IsOk());
  EXPECT_EQ(run(1).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(run(2), IsOk());
  EXPECT_THAT(Names(), ElementsAre("x", "x"));
}

// A migration may change a table while a service runs.
TEST_P(DbStatements, GoOnAfterTheTableHasChanged) {
  Insert("a");
  EXPECT_THAT(Names(), ElementsAre("a"));
  storage_.own.Run("ALTER TABLE items ADD COLUMN more INTEGER NOT NULL DEFAULT 7");
  EXPECT_THAT(Names(), ElementsAre("a"));
  Insert("b");
  if (!storage_.own.is_sqlite()) storage_.own.Run("ALTER TABLE items MODIFY name VARCHAR(3000)");
  Insert(std::string(2000, 'c'));
  storage_.own.Run("DROP TABLE items");
  storage_.own.Run(storage_.own.is_sqlite() ? "CREATE TABLE items (name TEXT, id INTEGER PRIMARY KEY)"
                                            : "CREATE TABLE items (name TEXT, id INT AUTO_INCREMENT PRIMARY KEY)");
  Insert("d");
  EXPECT_THAT(Names(), ElementsAre("d"));
}

TEST_P(DbStatements, ReadTextsOfEveryLengthAroundTheRoomForThem) {
  const db::Sql texts{"items.texts", "SELECT name, id, name FROM items ORDER BY id LIMIT 100"};
  storage_.own.Run(storage_.own.is_sqlite() ? "DELETE FROM items" : "ALTER TABLE items MODIFY name MEDIUMTEXT");
  std::vector<std::string> written;
  for (const size_t length : {0, 1, 511, 512, 513, 5000, 3'000'000, 7}) {
    written.emplace_back(length, static_cast<char>('a' + written.size()));
    Insert(written.back());
  }
  const auto rows = storage_.database.Read(
      TestCall(), [&](db::Connection& c) { return c.Query<std::string, int64_t, std::string>(texts); });
  ASSERT_THAT(rows, IsOk());
  ASSERT_EQ(rows->size(), written.size());
  for (size_t i = 0; i < written.size(); ++i) {
    const auto& [first, id, second] = (*rows)[i];
    EXPECT_TRUE(first == written[i] && second == written[i]) << written[i].size();
  }
}

TEST_P(DbStatements, ListsOfEveryLengthFindTheirRowsAndNoOthers) {
  const db::Sql find{"items.find", "SELECT id FROM items WHERE id IN (?) ORDER BY id"};
  for (int i = 1; i <= 40; ++i) Insert("x");
  for (int64_t length = 0; length <= 34; ++length) {
    std::vector<int64_t> ids;
    for (int64_t id = 1; id <= length; ++id) ids.push_back(id);
    const auto rows =
        storage_.database.Read(TestCall(), [&](db::Connection& c) { return c.Query<int64_t>(find, ids); });
    ASSERT_THAT(rows, IsOk());
    std::vector<int64_t> found;
    for (const auto& [id] : *rows) found.push_back(id);
    EXPECT_EQ(found, ids);
  }
}

TEST_P(DbStatements, RowsOfEveryNumberAreInsertedInTheirOrderAndTheirIdsReturned) {
  storage_.own.Run(storage_.own.is_sqlite()
                       ? "CREATE TABLE numbered (id INTEGER PRIMARY KEY, uid TEXT NOT NULL)"
                       : "CREATE TABLE numbered (id BIGINT AUTO_INCREMENT PRIMARY KEY, uid VARCHAR(36) NOT NULL)");
  const db::Sql insert{"numbered.insert", "INSERT INTO numbered (uid) VALUES (?) {returning id, uid}"};
  const db::Sql read{"numbered.read", "SELECT id, uid FROM numbered WHERE id > ? ORDER BY id LIMIT 1000"};
  int64_t last = 0;
  for (int number = 1; number <= 600; number += number < 40 ? 1 : 186) {
    std::vector<std::vector<db::Argument>> rows;
    for (int i = 0; i < number; ++i) rows.push_back({absl::StrCat(number, "-", i)});
    using Rows = std::vector<std::tuple<int64_t, std::string>>;
    Rows returned, stored;
    EXPECT_THAT(storage_.database.Transact(
                    TestCall(), "test",
                    [&](db::Tx& tx) -> absl::Status {
                      CROSSKEY_ASSIGN_OR_RETURN(returned, (tx.InsertRows<int64_t, std::string>(insert, rows)));
                      CROSSKEY_ASSIGN_OR_RETURN(stored, (tx.Query<int64_t, std::string>(read, last)));
                      return absl::OkStatus();
                    }),
                IsOk());
    ASSERT_EQ(stored.size(), static_cast<size_t>(number));
    for (int i = 0; i < number; ++i)
      EXPECT_EQ(std::get<1>(stored[static_cast<size_t>(i)]), absl::StrCat(number, "-", i));
    last = std::get<0>(stored.back());
    // MySQL returns none.
    if (storage_.own.is_sqlite() || !returned.empty()) {
      std::sort(returned.begin(), returned.end());
      EXPECT_EQ(returned, stored);
    }
  }
}

// What another transaction has locked is left out, so nobody waits for it.
TEST_P(DbStatementsOnServer, ARowThatIsLockedIsLeftOut) {
  const db::Sql free{"items.free", "SELECT id FROM items WHERE id IN (?) ORDER BY id {share_free}"};
  for (int i = 1; i <= 3; ++i) Insert("x");
  OtherSession other(storage_.own);
  other.Run("START TRANSACTION");
  other.Run("SELECT id FROM items WHERE id = 2 FOR UPDATE");
  const auto rows = storage_.database.Transact(TestCall(), "test", [&](db::Tx& tx) {
    return tx.Query<int64_t>(free, std::vector<int64_t>{1, 2, 3});
  });
  other.Run("COMMIT");
  ASSERT_THAT(rows, IsOk());
  std::vector<int64_t> found;
  for (const auto& [id] : *rows) found.push_back(id);
  EXPECT_THAT(found, ElementsAre(1, 3));
}

TEST_P(DbStatementsOnServer, ASessionKeepsABoundedNumber) {
  Answer(Nth(0), 1);
  const int64_t before = KeptByServer();
  for (int n = 1; n < 3 * static_cast<int>(db::kKeptStatements); ++n) Answer(Nth(n), 1);
  EXPECT_EQ(KeptByServer() - before, static_cast<int64_t>(db::kKeptStatements) - 1);
  // The same few statements prepare nothing more.
  for (int n = 0; n < 100; ++n) Answer(Nth(2), n);
  EXPECT_EQ(KeptByServer() - before, static_cast<int64_t>(db::kKeptStatements) - 1);
}

TEST_P(DbStatementsOnServer, ASessionThatEndedIsReplacedWithItsStatements) {
  int64_t session = 0;
  EXPECT_THAT(storage_.database.Read(TestCall(),
                                     [&](db::Connection& c) {
                                       session = SessionId(c);
                                       return absl::OkStatus();
                                     }),
              IsOk());
  Insert("a");
  Kill(storage_.own, session);
  EXPECT_THAT(Names(), ElementsAre("a"));
  Insert("b");
  EXPECT_THAT(Names(), ElementsAre("a", "b"));
}

// A server may find a conflict after it has announced the rows of a locking read. The statement has to be usable at
// once.
TEST_P(DbStatementsOnServer, AConflictWhileRowsAreReadLeavesTheStatementUsable) {
  const db::Sql lock{"items.lock", "SELECT id FROM items WHERE id IN (?) ORDER BY id {update}"};
  for (int i = 1; i <= 3; ++i) Insert("x");
  const std::vector<int64_t> ids = {1, 2};
  OtherSession other(storage_.own);
  other.Run("START TRANSACTION");
  other.Run("SELECT id FROM items WHERE id = 2 FOR UPDATE");
  int runs = 0;
  const auto locked = storage_.database.Transact(TestCall(), "test", [&](db::Tx& tx) -> absl::StatusOr<size_t> {
    if (++runs == 1) {
      const absl::Status status = tx.Command("test.impatient", "SET SESSION innodb_lock_wait_timeout = 1");
      if (!status.ok()) return status;
    }
    const auto rows = tx.Query<int64_t>(lock, ids);
    if (runs == 1) {
      EXPECT_EQ(db::SqlErrorOf(rows.status()), db::SqlError::kRetry);
      other.Run("COMMIT");
    }
    if (!rows.ok()) return rows.status();
    return rows->size();
  });
  ASSERT_THAT(locked, IsOk());
  EXPECT_EQ(*locked, 2u);
  EXPECT_EQ(runs, 2) << "the session is lost if the statement cannot be run again";
  EXPECT_EQ(MetricOf(storage_.metrics, "crosskey_db_sessions_opened_total"), 1);
}

// Another program may use the server's statements up. Then this session gives its own back, and goes on with one.
TEST_P(DbStatementsOnServer, AServerThatTakesNoMoreGetsSomeBack) {
  for (int n = 0; n < 10; ++n) Answer(Nth(n), 1);
  const int64_t limit = storage_.own.Number("SELECT @@GLOBAL.max_prepared_stmt_count");
  storage_.own.Run(absl::StrCat("SET GLOBAL max_prepared_stmt_count = ", KeptByServer()));
  for (int n = 100; n < 120; ++n) EXPECT_EQ(Answer(Nth(n), 1), n + 1);
  storage_.own.Run(absl::StrCat("SET GLOBAL max_prepared_stmt_count = ", limit));
}

// Prepared anew and run alone, the statement would run outside of the transaction whose locks it relies on.
TEST(SqlErrors, AnUnknownStatementMeansThatTheTransactionIsLost) {
  EXPECT_EQ(db::SqlErrorOf(db::MysqlError(1243, "test", "unknown")), db::SqlError::kConnection);
  EXPECT_FALSE(db::IsStatementLost(1243));
  EXPECT_TRUE(db::IsStatementLost(1461));
}

TEST(Kept, TheOneThatWasNotUsedForTheLongestTimeGoes) {
  db::Kept<int> kept(2);
  *kept.Add("a", 1) += 10;
  kept.Add("b", 2);
  ASSERT_NE(kept.Find("a"), nullptr);
  kept.Add("c", 3);
  EXPECT_EQ(kept.Find("b"), nullptr);
  EXPECT_EQ(*kept.Find("a"), 11);
  EXPECT_EQ(*kept.Find("c"), 3);
  EXPECT_EQ(kept.size(), 2u);
  kept.Clear();
  EXPECT_EQ(kept.Find("a"), nullptr);
}

}  // namespace
}  // namespace crosskey::testing
