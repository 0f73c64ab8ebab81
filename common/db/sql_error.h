// Sorts the errors of a database into the few kinds that callers tell apart. No other place knows error numbers.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"

namespace crosskey::db {

enum class SqlError {
  kRetry,       // deadlock, lock timeout, snapshot conflict, busy: the whole transaction may be run again
  kDuplicate,   // a unique key has the value already
  kForeignKey,  // a foreign key of this database refused the change
  kConnection,  // the session is lost; if that happens at a COMMIT, the outcome of the COMMIT is unknown
  kRefused,     // this server or session must not be used: wrong sql_mode, wrong credentials, no such database
  kOther,
};

// Makes a status of this kind. `text` is for the log only: it may hold values, and never reaches a client.
absl::Status MakeSqlError(SqlError kind, const std::string& statement, const std::string& text);

// The kind of a status that came from a database; nullopt for every other status.
std::optional<SqlError> SqlErrorOf(const absl::Status& status);

// An error of a server or of SQLite: its number, and its text.
absl::Status MysqlError(unsigned int number, const std::string& statement, const std::string& text);
absl::Status SqliteError(int result, const std::string& statement, const std::string& text);

// Whether the server did not run a statement, because it has too many prepared ones or the tables have changed. The
// session and its transaction are as before, so the statement may be prepared anew and run.
bool IsStatementLost(unsigned int mysql_number);

// To be called in a catch (...) block around SOCI: turns the exception in flight into a status. If that is an error of
// SOCI, the status has the server's message and not what(), because what() holds every bound value.
absl::Status StatusOfCurrentException(const std::string& statement);

}  // namespace crosskey::db
