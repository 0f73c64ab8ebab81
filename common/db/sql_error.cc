#include "common/db/sql_error.h"

#include <exception>

#include <soci/mysql/soci-mysql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace crosskey::db {
namespace {

constexpr char kPayload[] = "crosskey.db/kind";
constexpr char kCause[] = "crosskey.db/cause";  // never on the wire: common/rpc sends what begins with a type URL

absl::StatusCode CodeOf(SqlError kind) {
  switch (kind) {
    case SqlError::kRetry:
      return absl::StatusCode::kAborted;
    case SqlError::kDuplicate:
      return absl::StatusCode::kAlreadyExists;
    case SqlError::kForeignKey:
      return absl::StatusCode::kFailedPrecondition;
    case SqlError::kConnection:
    case SqlError::kLater:
    case SqlError::kFull:
    case SqlError::kReadOnly:
    case SqlError::kRefused:
      return absl::StatusCode::kUnavailable;
    case SqlError::kNoTable:
    case SqlError::kOther:
      break;
  }
  return absl::StatusCode::kInternal;
}

// The names are those of errmsg.txt and errmsg.h of the servers and their client library.
const std::vector<MysqlNumber> kMysqlNumbers = {
    {1020, SqlError::kRetry},  // snapshot conflict
    {1205, SqlError::kRetry},  // lock wait timeout
    {1213, SqlError::kRetry},  // deadlock
    {1412, SqlError::kRetry},  // the table was altered since the transaction began
    {1461, SqlError::kRetry},  // the server has too many prepared statements, none of them of this session
    {1689, SqlError::kRetry},  // the wait for a lock of the table was ended
    {3101, SqlError::kRetry},  // conflict at the COMMIT of Group Replication: certainly not committed
    {3572, SqlError::kRetry},  // NOWAIT

    {1062, SqlError::kDuplicate},
    {1451, SqlError::kForeignKey},
    {1452, SqlError::kForeignKey},

    {1047, SqlError::kConnection},  // Galera: node not ready
    {1053, SqlError::kConnection},  // server shutdown in progress
    {1180, SqlError::kConnection},  // a server of a cluster was cut off at the COMMIT: the others may have it
    {1153, SqlError::kConnection},  // max_allowed_packet: the server hangs up; a new session finds out that it is low
    {1156, SqlError::kConnection},  // 1156 to 1161: the server could not read or write packets
    {1157, SqlError::kConnection},
    {1158, SqlError::kConnection},
    {1159, SqlError::kConnection},
    {1160, SqlError::kConnection},
    {1161, SqlError::kConnection},
    {1243, SqlError::kConnection},  // unknown statement: a proxy has taken another connection, the transaction is lost
    {1927, SqlError::kConnection},  // connection was killed
    {2002, SqlError::kConnection},
    {2003, SqlError::kConnection},
    {2004, SqlError::kConnection},  // no socket: no descriptor is left, for example
    {2005, SqlError::kConnection},
    {2006, SqlError::kConnection},
    {2012, SqlError::kConnection},  // the handshake broke off
    {2013, SqlError::kConnection},
    {2014, SqlError::kConnection},  // commands out of sync
    {2020, SqlError::kConnection},  // a packet larger than the client takes
    {2027, SqlError::kConnection},  // malformed packet
    {2055, SqlError::kConnection},
    {3032, SqlError::kConnection},  // MySQL: offline_mode
    {3100, SqlError::kConnection},  // Group Replication: the server is not part of its group, maybe since this COMMIT
    {3781, SqlError::kConnection},  // 3781 to 3783: it waited for what a new primary has to apply, and for too long
    {3782, SqlError::kConnection},
    {3783, SqlError::kConnection},
    {4031, SqlError::kConnection},  // MySQL 8: closed after being idle

    {1037, SqlError::kLater},  // 1037, 1038, 1041: out of memory
    {1038, SqlError::kLater},
    {1040, SqlError::kLater},  // too many connections
    {1041, SqlError::kLater},
    {1129, SqlError::kLater},  // the host is blocked after connections that failed
    {1135, SqlError::kLater},  // no thread
    {1203, SqlError::kLater},  // too many connections of this user
    {1206, SqlError::kLater},  // too many locks
    {1226, SqlError::kLater},  // a resource limit of the user, MAX_USER_CONNECTIONS for example
    {1297, SqlError::kLater},  // temporary error of the storage engine
    {1317, SqlError::kLater},  // KILL QUERY
    {1969, SqlError::kLater},  // MariaDB: max_statement_time
    {2008, SqlError::kLater},  // the client is out of memory
    {3024, SqlError::kLater},  // MySQL: max_execution_time

    {1021, SqlError::kFull},  // the disk
    {1026, SqlError::kFull},  // error writing a file
    {1030, SqlError::kFull},  // error of the storage engine, errno 28 (no space) usually
    {1114, SqlError::kFull},  // the table
    {1197, SqlError::kFull},  // max_binlog_cache_size
    {1878, SqlError::kFull},  // error writing a temporary file

    {1036, SqlError::kReadOnly},  // the table
    {1290, SqlError::kReadOnly},  // --read-only
    {1792, SqlError::kReadOnly},  // the transaction
    {1836, SqlError::kReadOnly},  // innodb_read_only

    {1044, SqlError::kRefused},  // the user may not use the database
    {1045, SqlError::kRefused},  // wrong password
    {1049, SqlError::kRefused},  // no such database
    {1130, SqlError::kRefused},  // not from this host
    {1142, SqlError::kRefused},  // not this statement on this table
    {1143, SqlError::kRefused},  // not on this column
    {1227, SqlError::kRefused},  // a privilege is missing
    {1251, SqlError::kRefused},  // login method of old
    {1275, SqlError::kRefused},  // password of old
    {1370, SqlError::kRefused},  // not this routine
    {1698, SqlError::kRefused},  // no password is enough
    {1820, SqlError::kRefused},  // 1820, 1862: the password has expired
    {1862, SqlError::kRefused},
    {2026, SqlError::kRefused},  // TLS
    {2059, SqlError::kRefused},  // a login method that this client does not have, or may not use
    {2061, SqlError::kRefused},  // the login method failed
    {3118, SqlError::kRefused},  // MySQL: the account is locked
    {3159, SqlError::kRefused},  // MySQL: only with TLS
    {4151, SqlError::kRefused},  // MariaDB: the account is locked
    {5010, SqlError::kRefused},  // the client: a login method that it may not use

    {1146, SqlError::kNoTable},
};

SqlError KindOfMysql(unsigned int number) {
  for (const MysqlNumber& known : kMysqlNumbers) {
    if (known.number == number) return known.kind;
  }
  return SqlError::kOther;
}

SqlError KindOfSqlite(int result) {
  using namespace sqlite_api;  // SOCI includes sqlite3.h in this namespace
  switch (result) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
      return SqlError::kDuplicate;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
      return SqlError::kForeignKey;
    default:
      break;
  }
  switch (result & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return SqlError::kRetry;
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
      return SqlError::kConnection;
    case SQLITE_NOMEM:
    case SQLITE_INTERRUPT:
      return SqlError::kLater;
    case SQLITE_FULL:
      return SqlError::kFull;
    case SQLITE_READONLY:
      return SqlError::kReadOnly;
    case SQLITE_AUTH:
    case SQLITE_PERM:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return SqlError::kRefused;
    default:
      return SqlError::kOther;
  }
}

}  // namespace

const std::vector<MysqlNumber>& MysqlNumbers() { return kMysqlNumbers; }

bool Passes(SqlError kind) {
  const absl::StatusCode code = CodeOf(kind);
  return code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kAborted;
}

absl::Status MakeSqlError(SqlError kind, const std::string& statement, const std::string& text) {
  absl::Status status(CodeOf(kind), absl::StrCat(statement, ": ", text));
  status.SetPayload(kPayload, absl::Cord(absl::StrCat(static_cast<int>(kind))));
  return status;
}

absl::Status WithCause(absl::Status status, const absl::Status& cause) {
  status.SetPayload(kCause, absl::Cord(cause.message()));
  return status;
}

std::string TextOf(const absl::Status& status) {
  const auto cause = status.GetPayload(kCause);
  return cause.has_value() ? absl::StrCat(status.message(), ": ", std::string(*cause)) : std::string(status.message());
}

absl::Status MysqlError(unsigned int number, const std::string& statement, const std::string& text) {
  return MakeSqlError(KindOfMysql(number), statement, absl::StrCat(text, " (", number, ")"));
}

absl::Status SqliteError(int result, const std::string& statement, const std::string& text) {
  return MakeSqlError(KindOfSqlite(result), statement, absl::StrCat(text, " (", result, ")"));
}

bool IsStatementLost(unsigned int mysql_number) {
  switch (mysql_number) {
    case 1461:  // max_prepared_stmt_count
    case 1615:  // has to be prepared again
    case 2057:  // the columns are others than before: a SELECT, so running it again does no harm
      return true;
    default:
      return false;
  }
}

std::optional<SqlError> SqlErrorOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayload);
  int kind = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &kind)) return std::nullopt;
  return static_cast<SqlError>(kind);
}

absl::Status StatusOfCurrentException(const std::string& statement) {
  try {
    throw;
  } catch (const soci::mysql_soci_error& e) {
    return MysqlError(e.err_num_, statement, e.get_error_message());
  } catch (const soci::sqlite3_soci_error& e) {
    return SqliteError(e.result(), statement, e.get_error_message());
  } catch (const soci::soci_error& e) {
    return MakeSqlError(SqlError::kOther, statement, e.get_error_message());
  } catch (const std::exception& e) {
    return MakeSqlError(SqlError::kOther, statement, "unexpected exception of the database driver");
  }
}

}  // namespace crosskey::db
