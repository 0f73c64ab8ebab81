#include "common/db/open_session.h"

#include <utility>
#include <vector>

#include <errmsg.h>
#include <soci/mysql/soci-mysql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "common/db/password_file.h"
#include "common/db/sql_error.h"
#include "common/status/macros.h"

namespace crosskey::db {
namespace {

constexpr char kOpen[] = "session.open";
constexpr int kLockWaitSeconds = 5;
// MariaDB ends a session that has sent nothing for so long within a transaction.
constexpr absl::Duration kIdleInTransaction = absl::Seconds(30);
constexpr int kConnectSeconds = 2;
constexpr absl::Duration kFailed = absl::Milliseconds(250);  // for so long nobody tries all servers again
constexpr char kCharacterSet[] = "utf8mb4";
// The methods of login that do not send the password as it is. The names are those of the driver's plugins; it looks
// whether what the server asks for is a part of this text.
constexpr char kLoginMethods[] = "mysql_native_password, client_ed25519, caching_sha2_password";
// A log of SQLite that has grown larger, while a long read kept it from being taken in, is cut down to this afterwards.
constexpr int kLogBytes = 64 * 1024 * 1024;
constexpr int64_t kPacketBytes = 16 * 1024 * 1024;  // a statement with a full request, and its escapes

// SOCI can open a file only so that it is made if it is gone. So it opens none, and gets a connection to the file.
absl::Status OpenFile(soci::session& session, const std::string& path) {
  using namespace sqlite_api;  // SOCI includes sqlite3.h in this namespace
  session.open(soci::sqlite3, ":memory:");
  sqlite3*& connection = static_cast<soci::sqlite3_session_backend*>(session.get_backend())->conn_;
  sqlite3_close(connection);
  connection = nullptr;
  const int result = sqlite3_open_v2(path.c_str(), &connection, SQLITE_OPEN_READWRITE, nullptr);
  if (result != SQLITE_OK) return SqliteError(result, kOpen, absl::StrCat("cannot open ", path));
  sqlite3_extended_result_codes(connection, 1);
  sqlite3_busy_timeout(connection, kLockWaitSeconds * 1000);
  // The last session that is closed empties the log, and leaves it and its index there. Without them nobody could read
  // the database where its file system is read-only by then.
  int keep = 1;
  const int kept = sqlite3_file_control(connection, "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
  return kept == SQLITE_OK ? absl::OkStatus() : SqliteError(kept, kOpen, "cannot keep the log");
}

// An error of a file, which may be mended at any time.
absl::Status Unavailable(const absl::Status& status) {
  return status.ok() ? status : MakeSqlError(SqlError::kRefused, kOpen, std::string(status.message()));
}

absl::Status OpenSqlite(soci::session& session, const std::string& path, SqlitePlace& place) {
  const absl::StatusOr<SqlitePlace::File> file = place.Find();
  if (!file.ok()) return Unavailable(file.status());
  CROSSKEY_RETURN_IF_ERROR(OpenFile(session, path));
  session.once << "PRAGMA journal_mode = WAL";
  session.once << "PRAGMA journal_size_limit = " << kLogBytes;  // without one the log would not be emptied
  session.once << "PRAGMA synchronous = FULL";
  session.once << "PRAGMA foreign_keys = ON";
  return Unavailable(place.Keep(*file));
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
void SetVariables(soci::session& session, absl::Duration idle_timeout) {
  session.once << "SET SESSION autocommit = 1, completion_type = 'NO_CHAIN', sql_mode = "
                  "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', sql_select_limit = 18446744073709551615, "
                  "sql_safe_updates = 0, sql_big_selects = 1, sql_auto_is_null = 0, foreign_key_checks = 1, "
                  "unique_checks = 1, innodb_lock_wait_timeout = "
               << kLockWaitSeconds << ", wait_timeout = " << absl::ToInt64Seconds(idle_timeout);
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

// The options that SOCI does not know. The driver takes them in the place of the host, with braces around each value.
std::string HostWithOptions(const SessionOptions& options, const Server& server) {
  std::string text = absl::StrCat("host={", server.host, "};restricted-auth={", kLoginMethods, "}");
  if (options.tls_ca.empty()) return text;
  return absl::StrCat(text, ";ssl-ca={", options.tls_ca, "};ssl-enforce=1;ssl-verify-server-cert=1");
}

absl::Status Connect(soci::session& session, const SessionOptions& options, const Server& server,
                     const std::string& password) {
  const Url& url = options.url;
  const int64_t timeout = absl::ToInt64Seconds(options.statement_timeout);
  std::string parameters =
      absl::StrCat("host=", Quoted(HostWithOptions(options, server)), " port=", server.port, " user=", Quoted(url.user),
                   " db=", Quoted(url.database), " charset=", kCharacterSet, " connect_timeout=", kConnectSeconds);
  absl::StrAppend(&parameters, " read_timeout=", timeout, " write_timeout=", timeout);
  if (!password.empty()) absl::StrAppend(&parameters, " password=", Quoted(password));
  try {
    session.open(soci::mysql, parameters);
  } catch (const soci::mysql_soci_error& error) {
    // Nothing but the server is wrong, and the next connection may lead to another one.
    if (error.err_num_ == CR_SSL_CONNECTION_ERROR) {
      return MakeSqlError(SqlError::kRefused, kOpen,
                          absl::StrCat("the server is not trusted: ", error.get_error_message()));
    }
    if (error.err_num_ == CR_PLUGIN_NOT_ALLOWED) {
      return MakeSqlError(SqlError::kRefused, kOpen,
                          absl::StrCat("the server asks for a login by another method than ", kLoginMethods));
    }
    throw;
  }
  return absl::OkStatus();
}

// Whether the server is one of several that take writes, and of a kind that we know. A server without a variable says
// nothing of it.
absl::Status CheckCluster(soci::session& session, SessionFacts& facts) {
  std::string group, consistency;
  bool several_primaries = false;
  const soci::rowset<soci::row> rows =
      (session.prepare << "SHOW VARIABLES WHERE Variable_name IN ('wsrep_on', 'group_replication_group_name', "
                          "'group_replication_single_primary_mode', 'group_replication_consistency')");
  for (const soci::row& row : rows) {
    const auto name = row.get<std::string>(0);
    const auto value = row.get<std::string>(1);
    if (name == "wsrep_on") facts.in_cluster = value == "ON";
    if (name == "group_replication_group_name") group = value;
    if (name == "group_replication_single_primary_mode") several_primaries = value == "OFF";
    if (name == "group_replication_consistency") consistency = value;
  }
  if (several_primaries && !group.empty()) {
    return MakeSqlError(SqlError::kRefused, kOpen,
                        "the server is one of several primaries (Group Replication), which is not supported: set "
                        "group_replication_single_primary_mode");
  }
  // A new primary takes transactions before it has applied what its predecessor had committed, such as the deletion of
  // a parent. MySQL 8.0 has this value unless somebody sets another one.
  if (consistency == "EVENTUAL") {
    session.once << "SET SESSION group_replication_consistency = 'BEFORE_ON_PRIMARY_FAILOVER'";
  }
  // Reads wait for what was committed elsewhere before they began. Without this a reader could still see the posts of
  // a user whose deletion has been answered.
  if (facts.in_cluster) {
    session.once << "SET SESSION wsrep_sync_wait = @@SESSION.wsrep_sync_wait | 1, wsrep_dirty_reads = OFF";
  }
  return absl::OkStatus();
}

absl::Status OpenOn(const Server& server, soci::session& session, const SessionOptions& options, SessionFacts& facts) {
  std::string password;
  if (!options.password_file.empty()) {
    absl::StatusOr<std::string> read = ReadPasswordFile(options.password_file);
    if (!read.ok()) return Unavailable(read.status());
    password = *std::move(read);
  }
  CROSSKEY_RETURN_IF_ERROR(Connect(session, options, server, password));
  MYSQL* const connection = static_cast<soci::mysql_session_backend*>(session.get_backend())->conn_;
  if (!options.tls_ca.empty() && mysql_get_ssl_cipher(connection) == nullptr) {
    return MakeSqlError(SqlError::kRefused, kOpen, "the session is not encrypted");
  }
  CROSSKEY_RETURN_IF_ERROR(SetCharacterSet(connection));
  SetVariables(session, options.idle_timeout);
  std::string version;
  CROSSKEY_RETURN_IF_ERROR(CheckVariables(session, version));
  if (absl::StrContains(version, "MariaDB")) {
    // MariaDB turns an IN list of 1,000 elements or more into a table, and then does not lock the rows in the order of
    // the key. But locks have to be taken in that order (common/relation/README.md), so switch that off.
    session.once << "SET SESSION in_predicate_conversion_threshold = 0, idle_transaction_timeout = "
                 << absl::ToInt64Seconds(std::min(options.idle_timeout, kIdleInTransaction));
  } else {
    // MySQL keeps for a day what information_schema says of a counter. The ids that were given since would look lost
    // (counters.h), and a hint in the statement does not change this variable.
    session.once << "SET SESSION information_schema_stats_expiry = 0";
  }
  return CheckCluster(session, facts);
}

// The same, without exceptions.
absl::Status TryOn(const Server& server, soci::session& session, const SessionOptions& options, SessionFacts& facts) {
  try {
    session.close();
    facts = {};
    return OpenOn(server, session, options, facts);
  } catch (...) {
    return StatusOfCurrentException(kOpen);
  }
}

// That the server of a session takes writes. Another error than kReadOnly: it is cut off from its cluster, or has gone.
absl::Status CheckWrites(soci::session& session, const SessionFacts& facts) {
  try {
    if (facts.in_cluster) {
      std::string name, ready;
      session.once << "SHOW GLOBAL STATUS LIKE 'wsrep_ready'", soci::into(name), soci::into(ready);
      if (ready != "ON") return MakeSqlError(SqlError::kConnection, kOpen, "the server is cut off from its cluster");
    }
    int read_only = 0;
    // 0 and 1, and on a MariaDB that has more than two values OFF and others.
    session.once << "SELECT @@GLOBAL.read_only <> 'OFF'", soci::into(read_only);
    return read_only == 0 ? absl::OkStatus() : MakeSqlError(SqlError::kReadOnly, kOpen, "the server takes no writes");
  } catch (...) {
    return StatusOfCurrentException(kOpen);
  }
}

}  // namespace

SessionOpener::SessionOpener(SessionOptions options) : options_(std::move(options)), place_(options_.url.path) {}

absl::Status SessionOpener::OpenMysql(soci::session& session, SessionFacts& facts) {
  const std::vector<Server>& servers = options_.url.servers;
  if (servers.size() == 1) return TryOn(servers.front(), session, options_, facts);
  {
    std::lock_guard lock(failure_mutex_);
    if (absl::Now() < failed_until_) return failure_;
  }
  const size_t first = server_;
  SqlError kind = SqlError::kConnection;
  std::vector<std::string> errors;
  for (size_t i = 0; i < servers.size(); ++i) {
    const size_t at = (first + i) % servers.size();
    absl::Status status = TryOn(servers[at], session, options_, facts);
    if (status.ok()) status = CheckWrites(session, facts);
    if (status.ok()) {
      facts.server = server_ = at;
      return status;
    }
    // A server that can be reached and takes no writes says more than one that cannot.
    const SqlError error = SqlErrorOf(status).value_or(kind);
    if (errors.empty() || error == SqlError::kReadOnly) kind = error;
    errors.push_back(absl::StrCat(ToText(servers[at]), ": ", status.message()));
  }
  std::lock_guard lock(failure_mutex_);
  failed_until_ = absl::Now() + kFailed;
  failure_ = MakeSqlError(kind, kOpen, absl::StrJoin(errors, "; "));
  return failure_;
}

absl::Status SessionOpener::Open(soci::session& session, SessionFacts* facts) {
  absl::Status status;
  SessionFacts found;
  if (options_.url.dialect == Dialect::kMysql) {
    status = OpenMysql(session, found);
  } else {
    try {
      session.close();
      status = OpenSqlite(session, options_.url.path, place_);
    } catch (...) {
      status = StatusOfCurrentException(kOpen);
    }
  }
  if (!status.ok()) session.close();
  if (facts != nullptr) *facts = found;
  return status;
}

absl::Status SessionOpener::Check() const { return Unavailable(place_.Check()); }

bool SessionOpener::MayStay(soci::session& session, const SessionFacts& facts) const {
  return CheckWrites(session, facts).ok();
}

}  // namespace crosskey::db
