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
  std::string Of(db::Database& database) {
    const auto port = database.Read(TestCall(), [](db::Connection& connection) {
      return connection.QueryOne<int64_t>({"test.port", "SELECT @@port"});
    });
    if (!port.ok()) return errors::ReasonName(port.status());
    return std::get<0>(**port) == first_.port() ? "first" : "second";
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
  db::Database database(options_, metrics_);
  EXPECT_EQ(Of(database), "first");
  first_.Run("SET GLOBAL read_only = 1");
  EXPECT_EQ(Of(database), "first") << "an open session stays where it is";
  db::Database later(options_, metrics_);
  EXPECT_EQ(Of(later), "second");
  second_.Run("SET GLOBAL read_only = 1");
  db::Database reader(options_, metrics_);
  EXPECT_EQ(Of(reader), "first") << "no server takes writes, so the first one is read";
  second_.Run("SET GLOBAL read_only = 0");
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

// The second session was opened while no server took writes, and the first one has found one since.
TEST_F(SeveralServers, NoSessionStaysOnAServerThatCanOnlyBeRead) {
  first_.Run("SET GLOBAL read_only = 1");
  second_.Run("SET GLOBAL read_only = 1");
  options_.pool_size = 2;
  db::Database database(options_, metrics_);
  // The server of the second session: the first one is in use meanwhile.
  const auto on_second = [&] {
    std::string of;
    EXPECT_THAT(database.Read(TestCall(), [&](db::Connection&) { return of = Of(database), absl::OkStatus(); }),
                IsOk());
    return of;
  };
  EXPECT_EQ(Of(database), "first");
  EXPECT_EQ(on_second(), "first");
  second_.Run("SET GLOBAL read_only = 0");
  EXPECT_EQ(on_second(), "first") << "nobody has looked";
  EXPECT_THAT(database.Read(TestCall(),
                            [](db::Connection&) { return db::MakeSqlError(db::SqlError::kRefused, "test", "close"); }),
              StatusIs(absl::StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  EXPECT_EQ(Of(database), "second");
  EXPECT_EQ(on_second(), "second");
  const double opened = MetricOf(metrics_, "crosskey_db_sessions_opened_total");
  EXPECT_EQ(Of(database), "second");
  EXPECT_EQ(on_second(), "second");
  EXPECT_EQ(MetricOf(metrics_, "crosskey_db_sessions_opened_total"), opened) << "none is opened again and again";
  first_.Run("SET GLOBAL read_only = 0");
}

TEST_F(SeveralServers, WithoutAnyTheErrorNamesThemAll) {
  EndFirst();
  EndSecond();
  soci::session session;
  const absl::Status status = db::SessionOpener(options_).Open(session);
  EXPECT_EQ(db::SqlErrorOf(status), db::SqlError::kConnection);
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("127.0.0.1:", first_.port(), ": ")));
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("127.0.0.1:", second_.port(), ": ")));
}

}  // namespace
}  // namespace crosskey::testing
