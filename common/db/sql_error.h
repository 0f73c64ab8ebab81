// Sorts the errors of a database into the few kinds that callers tell apart. No other place knows error numbers.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace crosskey::db {

enum class SqlError {
  kRetry,       // deadlock, lock timeout, snapshot conflict, busy: the whole transaction may be run again
  kDuplicate,   // a unique key has the value already
  kForeignKey,  // a foreign key of this database refused the change
  kConnection,  // the session is lost; if that happens at a COMMIT, the outcome of the COMMIT is unknown
  kLater,       // too many connections, a statement that was ended, no memory: the session is as before
  kFull,        // there is no room for the change
  kReadOnly,    // the server, the session or the file takes no changes: maybe another server does by now
  kRefused,     // not allowed, or a server, session or file that must not be used: a new session may be better
  kNoTable,     // there is no such table
  kOther,       // a mistake of ours
};

// Whether an error of this kind may pass without a change of ours. Whoever works in the background tries again then.
bool Passes(SqlError kind);

// Makes a status of this kind. `text` is for the log only: it may hold values, and never reaches a client.
// UNAVAILABLE if it passes, ABORTED if the transaction may be run again at once, INTERNAL if it is a mistake of ours.
absl::Status MakeSqlError(SqlError kind, const std::string& statement, const std::string& text);

// The kind of a status that came from a database; nullopt for every other status.
std::optional<SqlError> SqlErrorOf(const absl::Status& status);

// What a client is told, and what the database said to it, which is for logs and operators only.
absl::Status WithCause(absl::Status status, const absl::Status& cause);
// The message of a status and, where it has one, its cause.
std::string TextOf(const absl::Status& status);

// The error numbers of MySQL and MariaDB whose kind is not kOther.
struct MysqlNumber {
  unsigned int number;
  SqlError kind;
};
const std::vector<MysqlNumber>& MysqlNumbers();

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
