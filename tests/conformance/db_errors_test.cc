// What an error of the database does to a transaction, to the pool, and to whoever called.
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/db/sql_error.h"
#include "common/db/tables.h"
#include "common/db/write_health.h"
#include "common/status/macros.h"
#include "tests/conformance/storage.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using absl::StatusCode;
using db::SqlError;
using ::testing::HasSubstr;

absl::Status InsertItem(db::Connection& connection, const std::string& name) {
  return connection.Execute(kInsertItem, name).status();
}

absl::Status Insert(db::Database& database, const std::string& name) {
  return database.Transact(TestCall(), "test", [&](db::Tx& tx) { return InsertItem(tx, name); });
}

absl::Status Count(db::Database& database) {
  return database.Read(TestCall(),
                       [](db::Connection& connection) { return connection.QueryOne<int64_t>(kCountItems).status(); });
}

double WriteProblem(Storage& storage, const std::string& problem) {
  return MetricOf(storage.metrics, "crosskey_db_write_problem", {{"problem", problem}});
}

class DbErrors : public DatabaseTest {};
CROSSKEY_ON_EVERY_SERVER(DbErrors);

// Makes the server answer with an error.
absl::Status Raise(db::Tx& tx, unsigned int number) {
  return tx.Command("test.signal", absl::StrCat("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = ", number));
}

// As servers and their manuals say, written down once more.
TEST(DbErrorKinds, AreThoseOfTheServers) {
  const std::map<SqlError, std::vector<unsigned int>> numbers = {
      {SqlError::kRetry, {1020, 1205, 1213, 3101}},
      {SqlError::kDuplicate, {1062}},
      {SqlError::kForeignKey, {1451, 1452}},
      {SqlError::kConnection,
       {1047, 1053, 1153, 1180, 1927, 2002, 2003, 2004, 2006, 2012, 2013, 3032, 3100, 3781, 3782, 3783, 4031}},
      {SqlError::kLater, {1037, 1040, 1041, 1203, 1226, 1317, 1969, 2008, 3024}},
      {SqlError::kFull, {1021, 1026, 1030, 1114}},
      {SqlError::kReadOnly, {1290, 1792, 1836}},
      {SqlError::kRefused, {1044, 1045, 1049, 1130, 1142, 1143, 1698, 2026, 3118, 3159, 4151, 5010}},
      {SqlError::kNoTable, {1146}},
      {SqlError::kOther, {1054, 1064, 1364, 1406}}};
  for (const auto& [kind, of_kind] : numbers) {
    for (const unsigned int number : of_kind) {
      EXPECT_EQ(db::SqlErrorOf(db::MysqlError(number, "test", "")), kind) << number;
    }
  }
}

TEST_P(DbErrors, OfEachNumberHaveTheirKind) {
  for (const auto& [number, kind] : db::MysqlNumbers()) {
    SCOPED_TRACE(number);
    const bool is_of_the_client = number / 1000 == 2 || number / 1000 == 5;
    if (is_of_the_client) continue;
    Storage storage(GetParam(), 1);
    int runs = 0;
    const absl::Status status = storage.database.Transact(TestCall(), "test", [&](db::Tx& tx) -> absl::Status {
      CROSSKEY_RETURN_IF_ERROR(InsertItem(tx, "a"));
      if (++runs > 1) return absl::OkStatus();
      const absl::Status raised = Raise(tx, number);
      EXPECT_EQ(db::SqlErrorOf(raised), kind);
      return raised;
    });
    const bool again = db::Passes(kind) && kind != SqlError::kFull;
    EXPECT_EQ(runs, again ? 2 : 1);
    EXPECT_EQ(status.ok(), again) << status;
    EXPECT_EQ(storage.Names(), again ? "a" : "");
    const bool anew = kind == SqlError::kConnection || kind == SqlError::kReadOnly || kind == SqlError::kRefused;
    EXPECT_EQ(MetricOf(storage.metrics, "crosskey_db_sessions_opened_total"), anew ? 2 : 1);
  }
}

TEST_P(DbErrors, ThatStayAreToldByWhatACallerCanDo) {
  const struct {
    unsigned int number;
    StatusCode code;
    std::string reason, problem;
  } cases[] = {{1213, StatusCode::kAborted, "CONFLICT", ""},
               {1927, StatusCode::kUnavailable, "DATABASE_UNAVAILABLE", ""},
               {1203, StatusCode::kUnavailable, "DATABASE_UNAVAILABLE", ""},
               {1114, StatusCode::kUnavailable, "DATABASE_NOT_WRITABLE", "full"},
               {1290, StatusCode::kUnavailable, "DATABASE_NOT_WRITABLE", "read_only"},
               {1142, StatusCode::kUnavailable, "DATABASE_UNAVAILABLE", "not_allowed"},
               {1146, StatusCode::kInternal, "", ""},
               {1054, StatusCode::kInternal, "", ""}};
  for (const auto& [number, code, reason, problem] : cases) {
    SCOPED_TRACE(number);
    Storage storage(GetParam());
    const unsigned int raised = number;
    const absl::Status status =
        storage.database.Transact(TestCall(), "test", [&](db::Tx& tx) { return Raise(tx, raised); });
    EXPECT_THAT(status, StatusIs(code, reason));
    EXPECT_THAT(db::TextOf(status), HasSubstr(absl::StrCat("(", number, ")"))) << "for the operator";
    EXPECT_EQ(storage.database.WriteProblem(), problem);
    EXPECT_EQ(WriteProblem(storage, problem), problem.empty() ? 0 : 1);
  }
}

TEST_P(DbErrors, OfAReadSayNothingOfWrites) {
  Storage storage(GetParam());
  for (const unsigned int number : {1114u, 1290u, 1142u}) {
    SCOPED_TRACE(number);
    const absl::Status status = storage.database.Read(TestCall(), [&](db::Connection& connection) {
      return connection.Command("test.signal", absl::StrCat("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = ", number));
    });
    EXPECT_THAT(status, StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
    EXPECT_EQ(storage.database.WriteProblem(), "");
  }
}

// A user whose rights and limits the test chooses.
class PlainUser {
 public:
  PlainUser(const TestDatabase& server, const std::string& limits) : server_(server) {
    server_.Run("CREATE USER crosskey_plain@127.0.0.1 " + limits);
  }
  ~PlainUser() { server_.Run("DROP USER crosskey_plain@127.0.0.1"); }
  PlainUser(const PlainUser&) = delete;
  PlainUser& operator=(const PlainUser&) = delete;

  void Grant(const std::string& rights) const {
    server_.Run("GRANT " + rights + " ON " + OptionsFor(server_).url.database + ".* TO crosskey_plain@127.0.0.1");
  }
  db::DatabaseOptions Options() const {
    db::DatabaseOptions options = OptionsFor(server_);
    options.url.user = "crosskey_plain";
    return options;
  }

 private:
  const TestDatabase& server_;
};

TEST_P(DbErrors, TooManyConnectionsOfTheUserPass) {
  Storage storage(GetParam());
  const PlainUser user(storage.own, "WITH MAX_USER_CONNECTIONS 1");
  user.Grant("ALL PRIVILEGES");
  db::Database database(user.Options(), storage.metrics);
  EXPECT_THAT(database.Read(TestCall(),
                            [&](db::Connection&) {
                              EXPECT_THAT(Count(database), StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
                              return absl::OkStatus();
                            }),
              IsOk());
  EXPECT_THAT(Count(database), IsOk()) << "the session that is there goes on";
  EXPECT_EQ(MetricOf(storage.metrics, "crosskey_db_sessions_opened_total"), 1);
}

// MySQL says of a statement that only sleeps that it was successful.
TEST_P(DbErrors, AStatementThatIsEndedIsRunAgain) {
  Storage storage(GetParam());
  std::vector<int64_t> sessions;
  std::thread killer;
  EXPECT_THAT(storage.database.Transact(TestCall(), "test",
                                        [&](db::Tx& tx) -> absl::Status {
                                          CROSSKEY_RETURN_IF_ERROR(InsertItem(tx, "a"));
                                          sessions.push_back(SessionId(tx));
                                          if (sessions.size() > 1) return absl::OkStatus();
                                          killer = std::thread([&, id = sessions.front()] {
                                            WaitFor([&] {
                                              return storage.own.Number(absl::StrCat(
                                                         "SELECT COUNT(*) FROM information_schema.processlist "
                                                         "WHERE info LIKE 'SELECT id FROM items WHERE SLEEP%'"
                                                         " AND id = ",
                                                         id)) == 1;
                                            });
                                            storage.own.Run(absl::StrCat("KILL QUERY ", id));
                                          });
                                          return tx.Command("test.sleep", "SELECT id FROM items WHERE SLEEP(60) = 0");
                                        }),
              IsOk());
  killer.join();
  ASSERT_EQ(sessions.size(), 2u);
  EXPECT_EQ(sessions[0], sessions[1]) << "its session is as before";
  EXPECT_EQ(storage.Names(), "a");
}

// The server has become a replica, and its sessions may be those of the former primary.
TEST_P(DbErrors, AReadOnlyServerIsReadAndTriedAgain) {
  Storage storage(GetParam());
  const PlainUser user(storage.own, "");
  user.Grant("ALL PRIVILEGES");
  db::Database database(user.Options(), storage.metrics);
  EXPECT_THAT(Insert(database, "a"), IsOk());
  storage.own.Run("SET GLOBAL read_only = 1");
  const double before = MetricOf(storage.metrics, "crosskey_db_sessions_opened_total");
  EXPECT_THAT(Insert(database, "b"), StatusIs(StatusCode::kUnavailable, "DATABASE_NOT_WRITABLE"));
  EXPECT_GT(MetricOf(storage.metrics, "crosskey_db_sessions_opened_total"), before);
  EXPECT_EQ(database.WriteProblem(), "read_only");
  EXPECT_THAT(Count(database), IsOk());
  EXPECT_EQ(database.WriteProblem(), "read_only") << "a read says nothing of writes";
  EXPECT_THAT(
      database.Transact(TestCall(), "test", [](db::Tx& tx) { return tx.QueryOne<int64_t>(kCountItems).status(); }),
      IsOk());
  EXPECT_EQ(database.WriteProblem(), "read_only") << "nor does a transaction without a change";
  storage.own.Run("SET GLOBAL read_only = 0");
  EXPECT_THAT(Insert(database, "c"), IsOk());
  EXPECT_EQ(database.WriteProblem(), "");
  EXPECT_EQ(WriteProblem(storage, "read_only"), 0);
  EXPECT_EQ(storage.Names(), "a,c");
}

TEST_P(DbErrors, WhatIsNotAllowedIsNoMistakeAndCanBeAllowed) {
  Storage storage(GetParam());
  const PlainUser user(storage.own, "");
  user.Grant("SELECT");
  db::Database database(user.Options(), storage.metrics);
  const absl::Status refused = Insert(database, "a");
  EXPECT_THAT(refused, StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  EXPECT_THAT(db::TextOf(refused), HasSubstr("(1142)"));
  EXPECT_EQ(database.WriteProblem(), "not_allowed");
  user.Grant("INSERT");
  EXPECT_THAT(Insert(database, "a"), IsOk());
  EXPECT_EQ(database.WriteProblem(), "");
}

// Or `serve` would ask for `migrate`, and `migrate` would try to make what is there.
TEST_P(DbErrors, ATableThatIsHiddenIsNotTakenForMissing) {
  Storage storage(GetParam());
  const PlainUser user(storage.own, "");
  user.Grant("CREATE");
  db::Database database(user.Options(), storage.metrics);
  const auto has_items =
      database.Read(TestCall(), [](db::Connection& connection) { return db::HasTable(connection, "items"); });
  EXPECT_THAT(has_items.status(), StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  user.Grant("SELECT");
  EXPECT_EQ(*database.Read(TestCall(), [](db::Connection& connection) { return db::HasTable(connection, "items"); }),
            true);
}

TEST(DbErrorsOfSqlite, AFileThatTakesNoChangesIsOpenedAnew) {
  Storage storage("sqlite");
  int runs = 0;
  EXPECT_THAT(
      storage.database.Transact(TestCall(), "test",
                                [&](db::Tx& tx) -> absl::Status {
                                  if (++runs == 1) {
                                    CROSSKEY_RETURN_IF_ERROR(tx.Command("test.read_only", "PRAGMA query_only = 1"));
                                  }
                                  return InsertItem(tx, "a");
                                }),
      IsOk());
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(storage.Names(), "a");
}

TEST(DbErrorsOfSqlite, AFullFileIsNotTriedAgainAndNothingIsStored) {
  Storage storage("sqlite", 1);
  ASSERT_THAT(Insert(storage.database, "a"), IsOk());
  int runs = 0;
  const absl::Status full = storage.database.Transact(TestCall(), "test", [&](db::Tx& tx) -> absl::Status {
    ++runs;
    CROSSKEY_RETURN_IF_ERROR(InsertItem(tx, "b"));
    CROSSKEY_RETURN_IF_ERROR(tx.Command("test.limit", "PRAGMA max_page_count = 1"));
    return InsertItem(tx, std::string(100'000, 'x'));
  });
  EXPECT_THAT(full, StatusIs(StatusCode::kUnavailable, "DATABASE_NOT_WRITABLE"));
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(storage.Names(), "a");
  EXPECT_EQ(storage.database.WriteProblem(), "full");
  EXPECT_THAT(Insert(storage.database, "c"), IsOk());
  EXPECT_EQ(storage.database.WriteProblem(), "full") << "a small change says little";
}

TEST(WriteHealth, IsFullUntilNoChangeHasFailedForAWhile) {
  telemetry::Metrics metrics("test", "0");
  db::WriteHealth health(metrics);
  const absl::Time now = absl::Now();
  health.Failed(SqlError::kRetry, "", now);
  health.Failed(SqlError::kConnection, "", now);
  EXPECT_EQ(health.Problem(), "");
  health.Failed(SqlError::kFull, "no room", now);
  health.Committed(now + db::WriteHealth::kFullFor / 2);
  EXPECT_EQ(health.Problem(), "full");
  health.Failed(SqlError::kFull, "no room", now + db::WriteHealth::kFullFor);
  health.Committed(now + db::WriteHealth::kFullFor * 3 / 2);
  EXPECT_EQ(health.Problem(), "full");
  health.Committed(now + db::WriteHealth::kFullFor * 2);
  EXPECT_EQ(health.Problem(), "");
  health.Failed(SqlError::kReadOnly, "", now);
  EXPECT_EQ(health.Problem(), "read_only");
  health.Committed(now);
  EXPECT_EQ(health.Problem(), "");
}

}  // namespace
}  // namespace crosskey::testing
