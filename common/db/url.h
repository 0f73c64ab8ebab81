// The --db flag.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/db/sql.h"

namespace crosskey::db {

struct Url {
  Dialect dialect = Dialect::kSqlite;
  std::string path;  // kSqlite: the file
  std::string user;  // kMysql
  std::string host;
  int port = 3306;
  std::string database;
};

// Parses `sqlite:PATH` or `mysql://user@host:port/database`. In user and database, %XX is the character with that
// hexadecimal number, so all but control characters can be there. INVALID_ARGUMENT says what is wrong, without
// repeating the text, in case there is a password in it. An in-memory SQLite database is refused, because every session
// of the pool would get an empty one of its own. The host "localhost" becomes 127.0.0.1, because MySQL clients would
// take it as the local socket and ignore the port.
absl::StatusOr<Url> ParseUrl(const std::string& text);

// Returns the URL as ParseUrl takes it.
std::string ToText(const Url& url);

}  // namespace crosskey::db
