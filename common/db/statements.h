// The prepared statements of one session.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/db/sql.h"

namespace soci {
class session;
}

namespace crosskey::db {

// A session keeps this many statements prepared, the ones that it used last. A service has some 60 different ones, each
// in a few lengths of its lists. A server's `max_prepared_stmt_count` has to be above the sum of all sessions.
inline constexpr size_t kKeptStatements = 128;
// A statement with more values is prepared for one use. It does so much that preparing it does not count, and a server
// needs some 600 KB for one with 1,024 values.
inline constexpr size_t kKeptValues = 512;

struct Result {
  std::vector<std::vector<Value>> rows;  // of a SELECT
  int64_t changed = 0;                   // rows that an INSERT, UPDATE or DELETE matched
  int64_t last_insert_id = 0;            // what the database counted up, after an INSERT of one row
};

// Parsing a statement costs more than running it: on SQLite ten times as much for a row by its key. So a statement is
// prepared once for each session and kept with its text as the key. Values never become part of the text: MySQL gets
// them by its binary protocol, so no setting of the server can take a value for SQL.
//
// For one thread at a time. Must be destroyed before its session is closed or opened anew.
class Statements {
 public:
  static std::unique_ptr<Statements> Of(soci::session& session, Dialect dialect);
  virtual ~Statements() = default;

  // Runs a statement. For a SELECT, `is_text` says of each column whether it is read as text or as a number; for every
  // other statement it is empty. `name` is for messages. The errors are those of sql_error.h. A statement whose tables
  // have changed since is prepared anew.
  virtual absl::StatusOr<Result> Run(const std::string& name, const Rendered& rendered,
                                     const std::vector<bool>& is_text) = 0;
};

}  // namespace crosskey::db
