// What a database said, in the few kinds that the callers tell apart. The only place that knows error numbers.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"

namespace crosskey::db {

enum class SqlError {
  kRetry,       // deadlock, lock timeout, snapshot conflict, busy: the whole transaction may be run again
  kDuplicate,   // a unique key has the value already
  kForeignKey,  // the local foreign key refused it
  kConnection,  // the session is lost; at a COMMIT its outcome is unknown
  kRefused,     // this server or session must not be used: wrong sql_mode, wrong credentials, no such database
  kOther,
};

// A status of that kind. `text` is for the log only: it may hold values, and never reaches a client.
absl::Status MakeSqlError(SqlError kind, const std::string& statement, const std::string& text);

// The kind of a status that came from a database; nullopt for every other status.
std::optional<SqlError> SqlErrorOf(const absl::Status& status);

// To be called in a catch (...) block around SOCI: turns the exception in flight into a status. Of a SOCI error it
// takes the server's message, never what(), which holds every bound value.
absl::Status StatusOfCurrentException(const std::string& statement);

}  // namespace crosskey::db
