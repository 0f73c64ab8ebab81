// Numbered changes of the schema, applied once each, in order, under a lock.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/db/database.h"

namespace crosskey::db {

struct Migration {
  int number;        // 1, 2, 3 and so on
  std::string name;  // the file's name, for messages
  std::string text;  // statements, each ending with a semicolon at the end of its line; `--` begins a comment line
};

// Applies what is missing. Safe to call from several processes at once: the others wait, at most until the call's
// deadline. On SQLite all of it is one transaction. On MySQL every DDL statement commits by itself, so a migration that
// fails in its middle has to be mended by hand; the error names it. FAILED_PRECONDITION: an applied migration is not
// the one known here (its checksum differs); nothing was done.
absl::Status Migrate(Database& database, const Call& call, const std::vector<Migration>& migrations);

// OK if the schema has at least these migrations, unchanged. FAILED_PRECONDITION says which one is missing or another.
// Later migrations than the known ones are fine: during an upgrade the schema goes first.
absl::Status CheckSchema(Database& database, const Call& call, const std::vector<Migration>& migrations);

}  // namespace crosskey::db
