// db::ParseUrl and db::OpenSession: which databases are accepted, and what every session of the pool is like.
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/db/sql_error.h"
#include "tests/conformance/storage.h"
#include "tests/support/free_port.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(ParseUrl, TakesBothKinds) {
  const db::Url file = db::ParseUrl("sqlite:/var/lib/a b/x.db").value();
  EXPECT_EQ(file.dialect, db::Dialect::kSqlite);
  EXPECT_EQ(file.path, "/var/lib/a b/x.db");
  const db::Url server = db::ParseUrl("mysql://me@db.example:3307/posts").value();
  EXPECT_EQ(server.dialect, db::Dialect::kMysql);
  EXPECT_EQ(server.user, "me");
  EXPECT_EQ(server.host, "db.example");
  EXPECT_EQ(server.port, 3307);
  EXPECT_EQ(server.database, "posts");
}

TEST(ParseUrl, ReachesLocalhostByTcp) {
  EXPECT_EQ(db::ParseUrl("mysql://me@localhost:3306/posts").value().host, "127.0.0.1");
}

TEST(ParseUrl, SaysWhatIsWrongWithoutRepeatingIt) {
  const struct {
    std::string url, reason;
  } cases[] = {
      {"", "unknown kind"},
      {"posts.db", "unknown kind"},
      {"postgres://me:secret@host:1/posts", "unknown kind"},
      {"MYSQL://me:secret@host:1/posts", "unknown kind"},
      {"sqlite:", "the path is missing"},
      {"sqlite::memory:", "in-memory"},
      {"sqlite:file::memory:?cache=shared", "in-memory"},
      {"sqlite:secret\".db", "a double quote"},
      {"mysql://me:secret", "a part is missing"},
      {"mysql://me:secret@host:3306", "a part is missing"},
      {"mysql://host:3306/secret", "a part is missing"},
      {"mysql://me:secret@host/posts", "the port is missing"},
      {"mysql://me:secret@host:0/posts", "the port is missing"},
      {"mysql://me:secret@host:65536/posts", "the port is missing"},
      {"mysql://me:secret@host:x/posts", "the port is missing"},
      {"mysql://me:secret@host:3306/posts", "--db-password-file"},
      {"mysql://me:sec@secret/ret@host:3306/posts", "--db-password-file"},
      {"mysql://@host:3306/secret", "the user"},
      {"mysql://secret'@host:3306/posts", "the user"},
      {"mysql://secret@:3306/posts", "the host"},
      {"mysql://me@ho st:3306/secret", "the host"},
      {"mysql://me@host:3306/", "the database"},
      {"mysql://me@host:3306/secret' port=1", "the database"},
      {"mysql://me@host:3306/secret=1", "the database"},
  };
  for (const auto& [url, reason] : cases) {
    const absl::Status status = db::ParseUrl(url).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << url;
    EXPECT_THAT(std::string(status.message()), HasSubstr(reason)) << url;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret"))) << url;
  }
}

TEST(SqliteSession, IsDurableAndEnforcesForeignKeys) {
  Storage storage("sqlite", 3);
  // Each read holds its session while the next one leases another.
  const std::function<absl::Status(int)> check = [&](int more) {
    return storage.database.Read(TestCall(), [&](db::Connection& connection) -> absl::Status {
      const auto number = [&](const std::string& pragma) {
        return std::get<0>(*connection.QueryOne<int64_t>({"test.pragma", "PRAGMA " + pragma}).value());
      };
      EXPECT_EQ(number("foreign_keys"), 1);
      EXPECT_EQ(number("synchronous"), 2);  // FULL
      EXPECT_EQ(number("busy_timeout"), 5000);
      EXPECT_EQ(connection.QueryOne<std::string>({"test.journal", "PRAGMA journal_mode"}).value(),
                std::make_tuple("wal"));
      return more == 0 ? absl::OkStatus() : check(more - 1);
    });
  };
  EXPECT_THAT(check(2), IsOk());
  EXPECT_EQ(MetricOf(storage.metrics, "crosskey_db_sessions_opened_total"), 3);
}

TEST(SqliteSession, WorksOnceItsFolderIsThere) {
  TestDatabase own("sqlite");
  db::DatabaseOptions options = OptionsFor(own);
  const std::filesystem::path folder = options.url.path + ".later";
  options.url.path = folder / "test.db";
  telemetry::Metrics metrics("test", "0");
  db::Database database(options, metrics);
  const auto read = [](db::Connection& connection) {
    return connection.QueryOne<int64_t>({"test.one", "SELECT 1"}).status();
  };
  EXPECT_THAT(database.Read(TestCall(), read), StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  std::filesystem::create_directory(folder);
  EXPECT_THAT(database.Read(TestCall(), read), IsOk());
}

class ServerSession : public DatabaseTest {};
CROSSKEY_ON_EVERY_SERVER(ServerSession);

TEST_P(ServerSession, SeesWhatOthersHaveCommitted) {
  Storage storage(GetParam());
  EXPECT_THAT(storage.database.Transact(TestCall(), "test",
                                        [&](db::Tx& tx) {
                                          EXPECT_THAT(*tx.QueryOne<int64_t>(kCountItems).value(), std::make_tuple(0));
                                          storage.own.Run("INSERT INTO items (name) VALUES ('a')");
                                          EXPECT_THAT(*tx.QueryOne<int64_t>(kCountItems).value(), std::make_tuple(1));
                                          return absl::OkStatus();
                                        }),
              IsOk());
}

TEST_P(ServerSession, SpeaksUtf8AndDoesNotWaitLongForALock) {
  Storage storage(GetParam());
  EXPECT_THAT(storage.database.Read(
                  TestCall(),
                  [](db::Connection& connection) {
                    const auto row = connection.QueryOne<std::string, std::string, int64_t>(
                        {"test.variables",
                         "SELECT @@character_set_client, @@character_set_results, @@innodb_lock_wait_timeout"});
                    EXPECT_EQ(row.value(), std::make_tuple("utf8mb4", "utf8mb4", 5));
                    return row.status();
                  }),
              IsOk());
}

TEST_P(ServerSession, WorksOnceItsDatabaseIsThere) {
  const TestDatabase admin(GetParam());
  const TestDatabase own(GetParam());
  const db::DatabaseOptions options = OptionsFor(own);
  admin.Run("DROP DATABASE " + options.url.database);
  telemetry::Metrics metrics("test", "0");
  db::Database database(options, metrics);
  const auto read = [](db::Connection& connection) {
    return connection.QueryOne<int64_t>({"test.one", "SELECT 1"}).status();
  };
  EXPECT_EQ(db::SqlErrorOf(database.Read(TestCall(), read)), db::SqlError::kRefused);
  admin.Run("CREATE DATABASE " + options.url.database);
  EXPECT_THAT(database.Read(TestCall(), read), IsOk());
}

TEST_P(ServerSession, NobodyListeningMeansUnavailable) {
  const TestDatabase own(GetParam());
  db::DatabaseOptions options = OptionsFor(own);
  options.url.port = FreePort();
  telemetry::Metrics metrics("test", "0");
  db::Database database(options, metrics);
  int runs = 0;
  EXPECT_THAT(database.Transact(TestCall(), "test", [&](db::Tx&) { return ++runs, absl::OkStatus(); }),
              StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  EXPECT_EQ(runs, 0);
}

// A user whose sessions begin with an sql_mode that the test chooses. The server's init_connect sets it, which runs
// only for users without administrative rights; the global sql_mode would hit whoever uses the server at the same time.
class UserWithSqlMode {
 public:
  UserWithSqlMode(const TestDatabase& server, const std::string& mode) : server_(server) {
    const std::string database = OptionsFor(server).url.database;
    server_.Run("CREATE USER crosskey_plain@127.0.0.1");
    server_.Run("GRANT ALL PRIVILEGES ON " + database + ".* TO crosskey_plain@127.0.0.1");
    server_.Run("SET GLOBAL init_connect = \"SET SESSION sql_mode = '" + mode + "'\"");
  }
  ~UserWithSqlMode() {
    server_.Run("SET GLOBAL init_connect = ''");
    server_.Run("DROP USER crosskey_plain@127.0.0.1");
  }
  UserWithSqlMode(const UserWithSqlMode&) = delete;
  UserWithSqlMode& operator=(const UserWithSqlMode&) = delete;

 private:
  const TestDatabase& server_;
};

TEST_P(ServerSession, IsRefusedInAnSqlModeThatIsNotSafe) {
  const struct {
    std::string mode;
    bool accepted;
  } cases[] = {
      {"STRICT_TRANS_TABLES", true},
      {"STRICT_ALL_TABLES,NO_ZERO_DATE", true},
      {"STRICT_TRANS_TABLES,NO_BACKSLASH_ESCAPES", false},
      {"STRICT_TRANS_TABLES,ANSI_QUOTES", false},
      {"NO_ENGINE_SUBSTITUTION", false},
      {"", false},
  };
  const TestDatabase own(GetParam());
  db::DatabaseOptions options = OptionsFor(own);
  options.url.user = "crosskey_plain";
  for (const auto& [mode, accepted] : cases) {
    const UserWithSqlMode user(own, mode);
    telemetry::Metrics metrics("test", "0");
    db::Database database(options, metrics);
    int runs = 0;
    const absl::Status status = database.Read(TestCall(), [&](db::Connection&) { return ++runs, absl::OkStatus(); });
    EXPECT_EQ(status.ok(), accepted) << mode << ": " << status;
    EXPECT_EQ(runs, accepted ? 1 : 0) << mode;
    EXPECT_EQ(db::SqlErrorOf(status) == db::SqlError::kRefused, !accepted) << mode;
  }
}

}  // namespace
}  // namespace crosskey::testing
