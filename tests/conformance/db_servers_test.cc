// Tests a --db with several servers: which one a session goes to, and when it goes to another one.
#include <csignal>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <soci/soci.h>

#include "absl/strings/str_cat.h"
#include "common/db/open_session.h"
#include "common/db/sql_error.h"
#include "common/status/errors.h"
#include "tests/conformance/storage.h"
#include "tests/support/free_port.h"
#include "tests/support/mariadb_server.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using ::testing::HasSubstr;

// Two servers with a database of one name.
class SeveralServers : public ::testing::Test {
 protected:
  SeveralServers() : options_(OptionsFor(first_, 1)) {
    options_.url.servers.push_back({"127.0.0.1", second_.port()});
    second_.Run("CREATE DATABASE " + options_.url.database);
  }
  // A test may end a server, and the databases are dropped there.
  ~SeveralServers() override {
    if (!first_runs_) first_server_.Start();
    if (!second_runs_) second_server_.Start();
    second_.Run("DROP DATABASE " + options_.url.database);
  }

  void EndFirst() {
    first_server_.Stop(SIGKILL);
    first_runs_ = false;
  }
  void EndSecond() {
    second_server_.Stop(SIGKILL);
    second_runs_ = false;
  }

  // The server that a statement is executed on: "first", "second" or an error.
  std::string Of(db::Database& database) { return Name(database.Read(TestCall(), Port)); }
  // Those of two sessions at a time.
  std::string OfTwo(db::Database& database) {
    std::string inner;
    const std::string outer = Name(database.Read(TestCall(), [&](db::Connection& connection) {
      inner = Of(database);
      return Port(connection);
    }));
    return outer + " " + inner;
  }

  static absl::StatusOr<int64_t> Port(db::Connection& connection) {
    CROSSKEY_ASSIGN_OR_RETURN(const auto row, connection.QueryOne<int64_t>({"test.port", "SELECT @@port"}));
    return std::get<0>(*row);
  }
  std::string Name(const absl::StatusOr<int64_t>& port) const {
    if (!port.ok()) return errors::ReasonName(port.status());
    return *port == first_.port() ? "first" : "second";
  }

  MariadbServer first_server_;
  const TestDatabase first_{"mariadb"};
  MariadbServer second_server_;
  const TestDatabase second_{"mariadb"};
  telemetry::Metrics metrics_{"test", "0"};
  db::DatabaseOptions options_;
  bool first_runs_ = true;
  bool second_runs_ = true;
};

TEST_F(SeveralServers, TheFirstOneThatTakesWritesIsTaken) {
  first_.Run("SET GLOBAL read_only = 1");
  db::Database database(options_, metrics_);
  EXPECT_EQ(Of(database), "second");
  first_.Run("SET GLOBAL read_only = 0");
  EXPECT_EQ(Of(database), "second") << "it stays where it is";
}

// What follows may be behind, so it is not even read.
TEST_F(SeveralServers, AServerThatOnlyFollowsIsNotRead) {
  first_.Run("SET GLOBAL read_only = 1");
  second_.Run("SET GLOBAL read_only = 1");
  db::Database database(options_, metrics_);
  EXPECT_EQ(Of(database), "DATABASE_UNAVAILABLE");
  const absl::Status written = database.Transact(TestCall(), "test", [](db::Tx& tx) {
    return tx.Execute({"test.do", "DO 1"}).status();
  });
  EXPECT_EQ(errors::ReasonName(written), "DATABASE_NOT_WRITABLE") << written;
  second_.Run("SET GLOBAL read_only = 0");
  EXPECT_TRUE(WaitFor([&] { return Of(database) == "second"; }));
  first_.Run("SET GLOBAL read_only = 0");
}

TEST_F(SeveralServers, ASessionThatIsLostIsOpenedOnAnother) {
  db::Database database(options_, metrics_);
  EXPECT_EQ(Of(database), "first");
  EndFirst();
  EXPECT_EQ(Of(database), "second") << "a read is run again";
  first_server_.Start();
  first_runs_ = true;
  EXPECT_EQ(Of(database), "second") << "it stays where it is";
  EndSecond();
  EXPECT_EQ(Of(database), "first");
}

// The server has become one that follows, and nobody has tried to write since.
TEST_F(SeveralServers, NoSessionStaysOnAServerThatTakesNoWritesAnyMore) {
  options_.pool_size = 2;
  db::Database database(options_, metrics_);
  EXPECT_EQ(OfTwo(database), "first first");
  first_.Run("SET GLOBAL read_only = 1");
  EXPECT_TRUE(WaitFor([&] { return Of(database) == "second"; }));
  EXPECT_EQ(OfTwo(database), "second second");
  EXPECT_EQ(OfTwo(database), "second second");
  EXPECT_EQ(MetricOf(metrics_, "crosskey_db_sessions_opened_total"), 4) << "none is opened again and again";
  first_.Run("SET GLOBAL read_only = 0");
}

// One session has found another server before anybody has looked.
TEST_F(SeveralServers, ThatAreLeftAreLeftByAll) {
  options_.pool_size = 2;
  options_.look_interval = absl::InfiniteDuration();
  db::Database database(options_, metrics_);
  EXPECT_EQ(OfTwo(database), "first first");
  first_.Run("SET GLOBAL read_only = 1");
  EXPECT_THAT(database.Read(TestCall(),
                            [](db::Connection&) { return db::MakeSqlError(db::SqlError::kRefused, "test", "close"); }),
              StatusIs(absl::StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  EXPECT_EQ(OfTwo(database), "second second");
  first_.Run("SET GLOBAL read_only = 0");
}

TEST_F(SeveralServers, WithoutAnyTheErrorNamesThemAll) {
  // What can be reached decides which error it is.
  second_.Run("SET GLOBAL read_only = 1");
  soci::session reader;
  EndFirst();
  EXPECT_EQ(db::SqlErrorOf(db::SessionOpener(options_).Open(reader)), db::SqlError::kReadOnly);
  EndSecond();
  soci::session session;
  const absl::Status status = db::SessionOpener(options_).Open(session);
  EXPECT_EQ(db::SqlErrorOf(status), db::SqlError::kConnection);
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("127.0.0.1:", first_.port(), ": ")));
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("127.0.0.1:", second_.port(), ": ")));
}

}  // namespace
}  // namespace crosskey::testing
