// db::ParseUrl and db::SessionOpener: which databases are accepted, and what every session of the pool is like.
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/db/sql_error.h"
#include "common/status/limits.h"
#include "common/status/macros.h"
#include "tests/conformance/storage.h"
#include "tests/support/free_port.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

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
  ASSERT_EQ(server.servers.size(), 1u);
  EXPECT_EQ(server.servers.front().host, "db.example");
  EXPECT_EQ(server.servers.front().port, 3307);
  EXPECT_EQ(server.database, "posts");
}

TEST(ParseUrl, ReachesLocalhostByTcp) {
  EXPECT_EQ(db::ParseUrl("mysql://me@localhost:3306/posts").value().servers.front().host, "127.0.0.1");
}

TEST(ParseUrl, TakesSeveralServers) {
  const std::string text = "mysql://me@one:3306,[2001:db8::2]:3307,192.0.2.3:1/posts";
  const db::Url url = db::ParseUrl(text).value();
  std::string servers;
  for (const db::Server& server : url.servers) absl::StrAppend(&servers, server.host, " ", server.port, ";");
  EXPECT_EQ(servers, "one 3306;2001:db8::2 3307;192.0.2.3 1;");
  EXPECT_EQ(db::ToText(url), text);
  std::string many = "mysql://me@a:1";
  for (int i = 1; i < limits::kServers; ++i) many += ",a:1";
  EXPECT_THAT(db::ParseUrl(many + "/posts").status(), IsOk());
  EXPECT_THAT(std::string(db::ParseUrl(many + ",a:1/posts").status().message()), HasSubstr("more than 16 servers"));
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
      {"sqlite:file:secret.db", "a URI"},
      {"mysql://me:secret", "a part is missing"},
      {"mysql://me:secret@host:3306", "a part is missing"},
      {"mysql://host:3306/secret", "a part is missing"},
      {"mysql://me:secret@host/posts", "the port is missing"},
      {"mysql://me:secret@host:0/posts", "the port is missing"},
      {"mysql://me@host:1,secret/posts", "the port is missing"},
      {"mysql://me@host:1,/secret", "the port is missing"},
      {"mysql://me@host:1,:2/secret", "the host"},
      {"mysql://me:secret@host:65536/posts", "the port is missing"},
      {"mysql://me:secret@host:x/posts", "the port is missing"},
      {"mysql://me:secret@host:3306/posts", "--db-password-file"},
      {"mysql://me:sec@secret/ret@host:3306/posts", "--db-password-file"},
      {"mysql://@host:3306/secret", "the user"},
      {"mysql://sec%ret@host:3306/posts", "the user"},
      {"mysql://sec%1@host:3306/posts", "the user"},
      {"mysql://sec ret@host:3306/posts", "the user"},
      {"mysql://me@ho'st:3306/secret", "the host"},
      {"mysql://me@host:3306/secret?a=b", "the database"},
      {"mysql://sec%00@host:3306/posts", "the user"},
      {"mysql://secret@:3306/posts", "the host"},
      {"mysql://me@ho st:3306/secret", "the host"},
      {"mysql://me@host:3306/", "the database"},
      {"mysql://me@host:3306/secret%", "the database"},
      {"mysql://me@host:3306/secret\n", "the database"},
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

namespace fs = std::filesystem;

TEST(SqliteSession, HasFilesForThisUserAlone) {
  const TestDatabase own("sqlite");
  telemetry::Metrics metrics("test", "0");
  db::Database database(OptionsFor(own), metrics);
  const mode_t before = umask(0);
  const auto make = [](db::Tx& tx) { return tx.Command("test.make", "CREATE TABLE t (x INT)"); };
  EXPECT_THAT(database.Transact(TestCall(), "test", make), IsOk());
  umask(before);
  for (const char* suffix : {"", "-wal", "-shm"}) {
    EXPECT_EQ(fs::status(OptionsFor(own).url.path + suffix).permissions(),
              fs::perms::owner_read | fs::perms::owner_write)
        << suffix;
  }
}

// What is written to a file without a name is lost.
TEST(SqliteSession, WorksOnlyWhileItsFileIsThere) {
  Storage storage("sqlite", 1);
  const std::string path = OptionsFor(storage.own).url.path, away = path + ".away";
  const auto insert = [](db::Tx& tx) { return tx.Execute(kInsertItem, "a").status(); };
  EXPECT_THAT(storage.database.Transact(TestCall(), "test", insert), IsOk());
  fs::rename(path, away);
  EXPECT_THAT(storage.database.Transact(TestCall(), "test", insert),
              StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  EXPECT_THAT(storage.database.Read(TestCall(), ReadOne), StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  EXPECT_FALSE(fs::exists(path));
  fs::copy_file(away, path);
  EXPECT_THAT(storage.database.Transact(TestCall(), "test", insert),
              StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  fs::rename(away, path);
  EXPECT_THAT(storage.database.Transact(TestCall(), "test", insert), IsOk());
  EXPECT_EQ(storage.Names(), "a,a");
}

TEST(SqliteSession, TakesTheFileOfTheFirstOneAndNoOther) {
  const TestDatabase own("sqlite");
  const db::DatabaseOptions options = OptionsFor(own);
  const std::string away = options.url.path + ".away";
  db::SessionOpener opener(options);
  soci::session first, second;
  EXPECT_THAT(opener.Open(first), IsOk());
  fs::rename(options.url.path, away);
  const absl::Status missing = opener.Open(second);
  EXPECT_EQ(db::SqlErrorOf(missing), db::SqlError::kRefused);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("cannot find the database file"));
  EXPECT_FALSE(fs::exists(options.url.path));
  fs::copy_file(away, options.url.path);
  const absl::Status other = opener.Open(second);
  EXPECT_EQ(db::SqlErrorOf(other), db::SqlError::kRefused);
  EXPECT_THAT(std::string(other.message()), HasSubstr("is another file than this process has opened"));
  fs::rename(away, options.url.path);
  EXPECT_THAT(opener.Open(second), IsOk());
}

// SQLite would throw the log away.
TEST(SqliteSession, IsNotANewOneWhereALogIsLeft) {
  const TestDatabase own("sqlite");
  const db::DatabaseOptions options = OptionsFor(own);
  for (const char* suffix : {"-wal", "-journal"}) {
    const std::string log = options.url.path + suffix;
    std::ofstream(log) << "what was written last";
    soci::session session;
    EXPECT_THAT(std::string(db::SessionOpener(options).Open(session).message()),
                HasSubstr("is missing, but " + log + " is there"));
    EXPECT_FALSE(fs::exists(options.url.path));
    EXPECT_EQ(fs::file_size(log), 21U);
    fs::remove(log);
  }
}

class ServerSession : public DatabaseTest {};
CROSSKEY_ON_EVERY_SERVER(ServerSession);

TEST_P(ServerSession, OneOfSeveralPrimariesIsRefusedByName) {
  const TestDatabase own(GetParam());
  const std::string plugins = own.Query("SELECT @@plugin_dir").front().front();
  if (!std::filesystem::exists(plugins + "/group_replication.so")) GTEST_SKIP() << "it has no Group Replication";
  own.Run("INSTALL PLUGIN group_replication SONAME 'group_replication.so'");
  own.Run("SET GLOBAL group_replication_single_primary_mode = OFF");
  soci::session session;
  db::SessionOpener opener(OptionsFor(own));
  EXPECT_THAT(opener.Open(session), IsOk()) << "it is in no group";
  own.Run("SET GLOBAL group_replication_group_name = '6f1a2b3c-0000-4000-8000-000000000001'");
  const absl::Status refused = opener.Open(session);
  EXPECT_EQ(db::SqlErrorOf(refused), db::SqlError::kRefused);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("one of several primaries (Group Replication)"));
  own.Run("SET GLOBAL group_replication_single_primary_mode = ON");
  EXPECT_THAT(opener.Open(session), IsOk());
  own.Run("UNINSTALL PLUGIN group_replication");
}

// A new primary would take transactions before it has what the one before it had committed.
TEST_P(ServerSession, ItWaitsForWhatANewPrimaryHasToApply) {
  const TestDatabase own(GetParam());
  if (own.Query("SHOW VARIABLES LIKE 'group_replication_consistency'").empty())
    GTEST_SKIP() << "it has no such variable";
  const std::string before = own.Query("SELECT @@GLOBAL.group_replication_consistency").front().front();
  const auto in_a_session = [&](const std::string& of_server) {
    own.Run(absl::StrCat("SET GLOBAL group_replication_consistency = '", of_server, "'"));
    soci::session session;
    db::SessionOpener opener(OptionsFor(own));
    EXPECT_THAT(opener.Open(session), IsOk());
    std::string value;
    session.once << "SELECT @@SESSION.group_replication_consistency", soci::into(value);
    return value;
  };
  EXPECT_EQ(in_a_session("EVENTUAL"), "BEFORE_ON_PRIMARY_FAILOVER");
  EXPECT_EQ(in_a_session("AFTER"), "AFTER") << "what is stricter stays";
  own.Run(absl::StrCat("SET GLOBAL group_replication_consistency = '", before, "'"));
}

TEST_P(ServerSession, ABrokenOneIsClosedAtOnce) {
  Storage storage(GetParam(), 1);
  int64_t id = 0;
  EXPECT_THAT(storage.database.Transact(TestCall(), "test",
                                        [&](db::Tx& tx) {
                                          id = SessionId(tx);
                                          return db::MakeSqlError(db::SqlError::kConnection, "test", "is lost");
                                        }),
              StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  const std::string count = absl::StrCat("SELECT COUNT(*) FROM information_schema.processlist WHERE id = ", id);
  EXPECT_TRUE(WaitFor([&] { return storage.own.Number(count) == 0; }));
}

// A process that is stopped in the middle of a transaction does not keep its locks.
TEST_P(ServerSession, EndsWithItsLocksWhenItSendsNothing) {
  Storage storage(GetParam());
  storage.own.Run("INSERT INTO items (name) VALUES ('a')");
  const auto rename = [](db::Tx& tx, const std::string& name) {
    return tx.Execute(kRenameItem, name, int64_t{1}).status();
  };
  db::DatabaseOptions options = OptionsFor(storage.own);
  options.idle_timeout = absl::Seconds(3);
  telemetry::Metrics metrics("test", "0");
  db::Database database(options, metrics);
  int runs = 0;
  EXPECT_THAT(database.Transact(TestCall(), "test",
                                [&](db::Tx& tx) {
                                  const absl::Status status = rename(tx, "stopped");
                                  if (++runs > 1) return status;
                                  EXPECT_THAT(
                                      storage.database.Transact(TestCall(), "test",
                                                                [&](db::Tx& other) { return rename(other, "b"); }),
                                      IsOk());
                                  EXPECT_EQ(storage.Names(), "b");
                                  return absl::OkStatus();
                                }),
              StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"))
      << "the COMMIT has no answer, because the session has ended";
  EXPECT_EQ(storage.Names(), "b");
}

// MariaDB has a limit for those within a transaction, and MySQL has none.
TEST_P(ServerSession, EndsSoonerWithinATransaction) {
  Storage storage(GetParam());
  const auto limits = storage.database.Read(TestCall(), [](db::Connection& connection) {
    return connection.Query<std::string, std::string>({"test.limit", "SHOW VARIABLES LIKE 'idle_transaction_timeout'"});
  });
  ASSERT_THAT(limits.status(), IsOk());
  ASSERT_EQ(limits->size(), GetParam() == "mysql" ? 0U : 1U);
  for (const auto& [name, seconds] : *limits) EXPECT_EQ(seconds, "30") << name;
}

// The server would end it at any moment, in the middle of a call.
TEST_P(ServerSession, IsOpenedAnewBeforeItEnds) {
  Storage storage(GetParam());
  db::DatabaseOptions options = OptionsFor(storage.own, 1);
  options.idle_timeout = absl::Seconds(3);
  telemetry::Metrics metrics("test", "0");
  db::Database database(options, metrics);
  int64_t id = 0;
  const auto read = [&](db::Connection& connection) {
    id = SessionId(connection);
    return absl::OkStatus();
  };
  EXPECT_THAT(database.Read(TestCall(), read), IsOk());
  const std::string count = absl::StrCat("SELECT COUNT(*) FROM information_schema.processlist WHERE id = ", id);
  EXPECT_TRUE(WaitFor([&] { return storage.own.Number(count) == 0; }));
  EXPECT_THAT(database.Read(TestCall(), read), IsOk());
  EXPECT_EQ(MetricOf(metrics, "crosskey_db_retries_total"), 0);
  EXPECT_EQ(MetricOf(metrics, "crosskey_db_sessions_opened_total"), 2);
}

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
  const absl::Status refused = database.Read(TestCall(), read);
  EXPECT_THAT(refused, StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  EXPECT_THAT(db::TextOf(refused), HasSubstr("Unknown database"));
  admin.Run("CREATE DATABASE " + options.url.database);
  EXPECT_THAT(database.Read(TestCall(), read), IsOk());
}

TEST_P(ServerSession, NobodyListeningMeansUnavailable) {
  const TestDatabase own(GetParam());
  db::DatabaseOptions options = OptionsFor(own);
  options.url.servers.front().port = FreePort();
  telemetry::Metrics metrics("test", "0");
  db::Database database(options, metrics);
  int runs = 0;
  EXPECT_THAT(database.Transact(TestCall(), "test", [&](db::Tx&) { return ++runs, absl::OkStatus(); }),
              StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  EXPECT_EQ(runs, 0);
}

// A user whose sessions begin with a statement that the test chooses. The server's init_connect runs it, and only for
// users without administrative rights; global variables would hit whoever uses the server at the same time.
class UserWithInitConnect {
 public:
  UserWithInitConnect(const TestDatabase& server, const std::string& statement) : server_(server) {
    const std::string database = OptionsFor(server).url.database;
    server_.Run("CREATE USER crosskey_plain@127.0.0.1");
    server_.Run("GRANT ALL PRIVILEGES ON " + database + ".* TO crosskey_plain@127.0.0.1");
    server_.Run("SET GLOBAL init_connect = \"" + statement + "\"");
  }
  ~UserWithInitConnect() {
    server_.Run("SET GLOBAL init_connect = ''");
    server_.Run("DROP USER crosskey_plain@127.0.0.1");
  }
  UserWithInitConnect(const UserWithInitConnect&) = delete;
  UserWithInitConnect& operator=(const UserWithInitConnect&) = delete;

 private:
  const TestDatabase& server_;
};

// Two names, so that a limit of one row is noticed. In gbk the last byte of the euro sign and the quote's escape would
// be one character, and the quote would end the text.
TEST_P(ServerSession, IsTheSameWhateverTheServerChooses) {
  const std::string names[] = {"\xE2\x82\xAC' OR 1=1 -- ", ""};
  for (const std::string statement :
       {"SET NAMES gbk", "SET NAMES latin1", "SET NAMES utf8mb3", "SET autocommit = 0", "SET sql_select_limit = 1",
        "SET foreign_key_checks = 0", "SET unique_checks = 0", "SET SESSION TRANSACTION READ ONLY",
        "SET sql_safe_updates = 1", "SET completion_type = 'CHAIN'", "SET sql_mode = 'ANSI_QUOTES'",
        "SET sql_mode = 'NO_BACKSLASH_ESCAPES'", "SET sql_mode = 'PIPES_AS_CONCAT,IGNORE_SPACE'", "SET sql_mode = ''",
        "SET sql_auto_is_null = 1", "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET innodb_lock_wait_timeout = 50", "SET wait_timeout = 28800"}) {
    SCOPED_TRACE(statement);
    Storage storage(GetParam());
    const UserWithInitConnect user(storage.own, statement);
    db::DatabaseOptions options = OptionsFor(storage.own);
    options.url.user = "crosskey_plain";
    telemetry::Metrics metrics("test", "0");
    db::Database database(options, metrics);
    ASSERT_THAT(database.Transact(TestCall(), "test",
                                  [&](db::Tx& tx) -> absl::Status {
                                    for (const std::string& name : names) {
                                      CROSSKEY_RETURN_IF_ERROR(tx.Execute(kInsertItem, name).status());
                                    }
                                    return absl::OkStatus();
                                  }),
                IsOk());
    const auto read = [](db::Connection& connection) {
      const auto row = connection.QueryOne<std::string>(
          {"test.variables",
           "SELECT CONCAT_WS('|', @@character_set_client, @@character_set_connection, @@character_set_results, "
           "@@completion_type, @@sql_mode, @@autocommit = 1, @@sql_safe_updates = 0, @@foreign_key_checks = 1, "
           "@@unique_checks = 1, @@sql_auto_is_null = 0, @@innodb_lock_wait_timeout = 5, @@wait_timeout = 600, "
           "@@sql_select_limit > 1000000)"});
      EXPECT_EQ(std::get<0>(*row.value()),
                "utf8mb4|utf8mb4|utf8mb4|NO_CHAIN|STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION|1|1|1|1|1|1|1|1");
      const auto items = connection.Query<std::string>({"test.items", "SELECT name FROM items ORDER BY id"});
      EXPECT_EQ(items.value().size(), 2u);
      return items.status();
    };
    EXPECT_THAT(database.Read(TestCall(), read), IsOk());
    EXPECT_EQ(storage.own.Query("SELECT HEX(name) FROM items ORDER BY id")[0][0], "E282AC27204F5220313D31202D2D20");
    EXPECT_EQ(storage.own.Number("SELECT COUNT(*) FROM items WHERE name = ''"), 1);
  }
}

// A legal batch would fail for ever.
TEST_P(ServerSession, IsRefusedIfPacketsAreTooSmall) {
  const TestDatabase own(GetParam());
  const int64_t before = own.Number("SELECT @@GLOBAL.max_allowed_packet");
  own.Run("SET GLOBAL max_allowed_packet = 4194304");
  telemetry::Metrics metrics("test", "0");
  db::Database database(OptionsFor(own), metrics);
  const auto read = [](db::Connection& connection) {
    return connection.QueryOne<int64_t>({"test.one", "SELECT 1"}).status();
  };
  const absl::Status refused = database.Read(TestCall(), read);
  own.Run("SET GLOBAL max_allowed_packet = " + std::to_string(before));
  EXPECT_THAT(refused, StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  EXPECT_THAT(db::TextOf(refused), HasSubstr("max_allowed_packet is 4194304, and must be 16777216 at least"));
  EXPECT_THAT(database.Read(TestCall(), read), IsOk());
}

TEST_P(ServerSession, TakesEveryCharacterInNamesAndPassword) {
  const TestDatabase own(GetParam());
  db::DatabaseOptions options = OptionsFor(own);
  options.url.user = "we ird'\"\\=@/%:";
  options.url.database = "od d'\"=@%:;";
  const std::string password = "p w'\"\\=;%' port=1";
  options.password_file = std::filesystem::temp_directory_path() / ("crosskey_password_" + std::to_string(getpid()));
  std::ofstream(options.password_file) << password;
  EXPECT_EQ(db::ParseUrl(db::ToText(options.url)).value().user, options.url.user);
  EXPECT_EQ(db::ParseUrl(db::ToText(options.url)).value().database, options.url.database);
  const auto quoted = [](const std::string& text) {
    return "'" + absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}) + "'";
  };
  const std::string user = quoted(options.url.user) + "@127.0.0.1", database = "`" + options.url.database + "`";
  own.Run("CREATE DATABASE " + database);
  own.Run("CREATE USER " + user + " IDENTIFIED BY " + quoted(password));
  own.Run("GRANT ALL PRIVILEGES ON " + database + ".* TO " + user);
  telemetry::Metrics metrics("test", "0");
  {
    db::Database there(options, metrics);
    EXPECT_THAT(there.Read(TestCall(),
                           [&](db::Connection& connection) {
                             const auto row = connection.QueryOne<std::string, std::string>(
                                 {"test.names", "SELECT DATABASE(), CURRENT_USER()"});
                             EXPECT_EQ(row.value(),
                                       std::make_tuple(options.url.database, options.url.user + "@127.0.0.1"));
                             return row.status();
                           }),
                IsOk());
  }
  std::filesystem::remove(options.password_file);
  own.Run("DROP USER " + user);
  own.Run("DROP DATABASE " + database);
}

}  // namespace
}  // namespace crosskey::testing
