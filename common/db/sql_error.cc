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

absl::StatusCode CodeOf(SqlError kind) {
  switch (kind) {
    case SqlError::kRetry:
      return absl::StatusCode::kAborted;
    case SqlError::kDuplicate:
      return absl::StatusCode::kAlreadyExists;
    case SqlError::kForeignKey:
      return absl::StatusCode::kFailedPrecondition;
    case SqlError::kConnection:
      return absl::StatusCode::kUnavailable;
    case SqlError::kRefused:
    case SqlError::kOther:
      break;
  }
  return absl::StatusCode::kInternal;
}

SqlError KindOfMysql(unsigned int number) {
  switch (number) {
    case 1213:  // deadlock
    case 1205:  // lock wait timeout
    case 1020:  // snapshot conflict
    case 1461:  // the server has too many prepared statements, none of them of this session
    case 3572:  // NOWAIT
      return SqlError::kRetry;
    case 1062:
      return SqlError::kDuplicate;
    case 1451:
    case 1452:
      return SqlError::kForeignKey;
    case 1040:  // too many connections
    case 1047:  // Galera: node not ready
    case 1053:  // server shutdown in progress
    case 1243:  // unknown statement: a proxy has taken another connection, and the transaction is lost with the old one
    case 1290:  // read-only: the primary is another server now
    case 1836:
    case 1927:  // connection was killed
    case 2002:
    case 2003:
    case 2005:
    case 2006:
    case 2013:
    case 2014:  // commands out of sync
    case 2027:  // malformed packet
    case 2055:
    case 4031:  // MySQL 8: closed after being idle
      return SqlError::kConnection;
    case 1044:
    case 1045:
    case 1049:
    case 1698:
      return SqlError::kRefused;
    default:
      return SqlError::kOther;
  }
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
    case SQLITE_FULL:
      return SqlError::kConnection;
    default:
      return SqlError::kOther;
  }
}

}  // namespace

absl::Status MakeSqlError(SqlError kind, const std::string& statement, const std::string& text) {
  absl::Status status(CodeOf(kind), absl::StrCat(statement, ": ", text));
  status.SetPayload(kPayload, absl::Cord(absl::StrCat(static_cast<int>(kind))));
  return status;
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
