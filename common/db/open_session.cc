#include "common/db/open_session.h"

#include <soci/mysql/soci-mysql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/db/sql_error.h"
#include "common/status/macros.h"

namespace crosskey::db {
namespace {

constexpr char kOpen[] = "session.open";
constexpr int kLockWaitSeconds = 5;
constexpr int kConnectSeconds = 2;
constexpr char kCharacterSet[] = "utf8mb4";
constexpr int64_t kPacketBytes = 16 * 1024 * 1024;  // a statement with a full request, and its escapes

void OpenSqlite(soci::session& session, const Url& url) {
  session.open(soci::sqlite3, absl::StrCat("dbname=\"", url.path, "\" timeout=", kLockWaitSeconds));
  auto* backend = static_cast<soci::sqlite3_session_backend*>(session.get_backend());
  sqlite_api::sqlite3_extended_result_codes(backend->conn_, 1);
  session.once << "PRAGMA journal_mode = WAL";
  session.once << "PRAGMA synchronous = FULL";
  session.once << "PRAGMA foreign_keys = ON";
}

// A value in SOCI's connection string, where only a single quote ends it, and a backslash takes the next character as
// it is.
std::string Quoted(const std::string& value) {
  return absl::StrCat("'", absl::StrReplaceAll(value, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

// The driver has to know the character set as well as the server does, because it escapes by it what SOCI pastes into a
// statement. A server may have ignored the one of the login (--skip-character-set-client-handshake), or have changed it
// since (init_connect).
absl::Status SetCharacterSet(MYSQL* connection) {
  if (mysql_set_character_set(connection, kCharacterSet) != 0) {
    return MysqlError(mysql_errno(connection), kOpen, mysql_error(connection));
  }
  return absl::OkStatus();
}

// The server's defaults, and its init_connect, can be any. What a session may set, it sets.
void SetVariables(soci::session& session) {
  session.once << "SET SESSION autocommit = 1, completion_type = 'NO_CHAIN', sql_mode = "
                  "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', sql_select_limit = 18446744073709551615, "
                  "sql_safe_updates = 0, sql_big_selects = 1, sql_auto_is_null = 0, foreign_key_checks = 1, "
                  "unique_checks = 1, innodb_lock_wait_timeout = "
               << kLockWaitSeconds;
  session.once << "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE";
}

// What it may not set has to be right.
absl::Status CheckVariables(soci::session& session, std::string& version) {
  std::string sets;
  long long packet = 0;
  session.once << "SELECT CONCAT_WS(',', @@character_set_client, @@character_set_connection, @@character_set_results), "
                  "@@max_allowed_packet, VERSION()",
      soci::into(sets), soci::into(packet), soci::into(version);
  if (sets != absl::StrCat(kCharacterSet, ",", kCharacterSet, ",", kCharacterSet)) {
    return MakeSqlError(SqlError::kRefused, kOpen, "the server does not take the character set utf8mb4: " + sets);
  }
  if (packet < kPacketBytes) {
    return MakeSqlError(
        SqlError::kRefused, kOpen,
        absl::StrCat("the server's max_allowed_packet is ", packet, ", and must be ", kPacketBytes, " at least"));
  }
  return absl::OkStatus();
}

absl::Status OpenMysql(soci::session& session, const Url& url, const std::string& password,
                       absl::Duration statement_timeout) {
  const int64_t timeout = absl::ToInt64Seconds(statement_timeout);
  std::string parameters =
      absl::StrCat("host=", Quoted(url.host), " port=", url.port, " user=", Quoted(url.user),
                   " db=", Quoted(url.database), " charset=", kCharacterSet, " connect_timeout=", kConnectSeconds);
  absl::StrAppend(&parameters, " read_timeout=", timeout, " write_timeout=", timeout);
  if (!password.empty()) absl::StrAppend(&parameters, " password=", Quoted(password));
  session.open(soci::mysql, parameters);

  CROSSKEY_RETURN_IF_ERROR(SetCharacterSet(static_cast<soci::mysql_session_backend*>(session.get_backend())->conn_));
  SetVariables(session);
  std::string version;
  CROSSKEY_RETURN_IF_ERROR(CheckVariables(session, version));
  if (absl::StrContains(version, "MariaDB")) {
    // MariaDB turns an IN list of 1,000 elements or more into a table, and then does not lock the rows in the order of
    // the key. But locks have to be taken in that order (common/relation/README.md), so switch that off.
    session.once << "SET SESSION in_predicate_conversion_threshold = 0";
  } else {
    // MySQL keeps for a day what information_schema says of a counter. The ids that were given since would look lost
    // (counters.h), and a hint in the statement does not change this variable.
    session.once << "SET SESSION information_schema_stats_expiry = 0";
  }
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
