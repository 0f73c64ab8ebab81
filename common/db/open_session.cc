#include "common/db/open_session.h"

#include <soci/mysql/soci-mysql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/db/sql_error.h"

namespace crosskey::db {
namespace {

constexpr char kOpen[] = "session.open";
constexpr int kLockWaitSeconds = 5;
constexpr int kConnectSeconds = 2;

void OpenSqlite(soci::session& session, const Url& url) {
  session.open(soci::sqlite3, absl::StrCat("dbname=\"", url.path, "\" timeout=", kLockWaitSeconds));
  auto* backend = static_cast<soci::sqlite3_session_backend*>(session.get_backend());
  sqlite_api::sqlite3_extended_result_codes(backend->conn_, 1);
  session.once << "PRAGMA journal_mode = WAL";
  session.once << "PRAGMA synchronous = FULL";
  session.once << "PRAGMA foreign_keys = ON";
}

absl::Status OpenMysql(soci::session& session, const Url& url, const std::string& password,
                       absl::Duration statement_timeout) {
  const char quote = absl::StrContains(password, "'") ? '"' : '\'';
  if (absl::StrContains(password, std::string(1, quote))) {
    return MakeSqlError(SqlError::kRefused, kOpen,
                        "the password has both kinds of quotes, which the driver cannot take");
  }
  const int64_t timeout = absl::ToInt64Seconds(statement_timeout);
  std::string parameters =
      absl::StrCat("host='", url.host, "' port=", url.port, " user='", url.user, "' db='", url.database,
                   "' charset=utf8mb4 connect_timeout=", kConnectSeconds, " read_timeout=", timeout);
  absl::StrAppend(&parameters, " write_timeout=", timeout);
  if (!password.empty()) {
    absl::StrAppend(&parameters, " password=", std::string(1, quote), password, std::string(1, quote));
  }
  session.open(soci::mysql, parameters);

  std::string mode;
  session.once << "SELECT @@SESSION.sql_mode", soci::into(mode);
  for (const char* forbidden : {"NO_BACKSLASH_ESCAPES", "ANSI_QUOTES"}) {
    if (absl::StrContains(mode, forbidden)) {
      return MakeSqlError(SqlError::kRefused, kOpen, absl::StrCat("the server's sql_mode has ", forbidden));
    }
  }
  if (!absl::StrContains(mode, "STRICT_TRANS_TABLES") && !absl::StrContains(mode, "STRICT_ALL_TABLES")) {
    return MakeSqlError(SqlError::kRefused, kOpen, "the server's sql_mode is not strict");
  }
  session.once << "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
  std::string version;
  session.once << "SELECT VERSION()", soci::into(version);
  if (absl::StrContains(version, "MariaDB")) {
    // MariaDB turns an IN list of 1,000 elements or more into a table, and then does not lock the rows in the order of
    // the key. But locks have to be taken in that order (common/relation/README.md), so switch that off.
    session.once << "SET SESSION in_predicate_conversion_threshold = 0";
  }
  session.once << "SET SESSION innodb_lock_wait_timeout = " << kLockWaitSeconds;
  return absl::OkStatus();
}

}  // namespace

absl::Status OpenSession(soci::session& session, const Url& url, const std::string& password,
                         absl::Duration statement_timeout) {
  absl::Status status;
  try {
    session.close();
    if (url.dialect == Dialect::kSqlite) {
      OpenSqlite(session, url);
    } else {
      status = OpenMysql(session, url, password, statement_timeout);
    }
  } catch (...) {
    status = StatusOfCurrentException(kOpen);
  }
  if (!status.ok()) session.close();
  return status;
}

}  // namespace crosskey::db
