#include "tests/conformance/storage.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/db/open_session.h"
#include "tests/support/faults.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {

db::DatabaseOptions OptionsFor(const TestDatabase& database, int pool_size) {
  db::DatabaseOptions options;
  options.url = db::ParseUrl(database.url()).value();
  options.pool_size = pool_size;
  return options;
}

Storage::Storage(const std::string& backend, int pool_size)
    : own(backend), metrics("test", "0"), database(OptionsFor(own, pool_size), metrics) {
  database.set_seam(Seam());
  own.Run(own.is_sqlite() ? "CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT)"
                          : "CREATE TABLE items (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, name TEXT) "
                            "ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4");
}

std::string Storage::Names() const {
  const auto rows = own.Query("SELECT name FROM items ORDER BY id");
  return absl::StrJoin(
      rows, ",", [](std::string* out, const std::vector<std::string>& row) { absl::StrAppend(out, row.front()); });
}

OtherSession::OtherSession(const TestDatabase& database) {
  const db::DatabaseOptions options = OptionsFor(database);
  EXPECT_THAT(db::SessionOpener(options).Open(session_), IsOk());
}

void OtherSession::Run(const std::string& sql) {
  const db::StatementSeam none;
  const auto statements = db::Statements::Of(session_, db::Dialect::kMysql);
  EXPECT_THAT(db::Connection(session_, *statements, db::Dialect::kMysql, none, nullptr).Command("other", sql), IsOk());
}

int64_t SessionId(db::Connection& connection) {
  const auto row = connection.QueryOne<int64_t>({"test.session_id", "SELECT CONNECTION_ID()"});
  EXPECT_THAT(row, IsOk());
  return row.ok() ? std::get<0>(**row) : 0;
}

void Kill(const TestDatabase& database, int64_t session_id) {
  database.Run(absl::StrCat("KILL ", session_id));
  const std::string count = absl::StrCat("SELECT COUNT(*) FROM information_schema.processlist WHERE id = ", session_id);
  EXPECT_TRUE(WaitFor([&] { return database.Number(count) == 0; }));
}

absl::Status ReadOne(db::Connection& connection) {
  return connection.QueryOne<int64_t>({"test.one", "SELECT 1"}).status();
}

Call CallWithHook(std::function<void(int)> hook) {
  Call call = TestCall();
  call.cancelled = [hook = std::move(hook), attempts = std::make_shared<int>(0)] {
    hook(++*attempts);
    return false;
  };
  return call;
}

}  // namespace crosskey::testing
