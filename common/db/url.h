// The --db flag.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/db/sql.h"

namespace crosskey::db {

struct Server {
  std::string host;
  int port = 3306;
};

struct Url {
  Dialect dialect = Dialect::kSqlite;
  std::string path;             // kSqlite: the file
  std::string user;             // kMysql
  std::vector<Server> servers;  // kMysql: of one database, each of which may be the one that takes writes
  std::string database;
};

// Parses `sqlite:PATH`, `mysql://user@host:port/database` or, with limits::kServers servers at most,
// `mysql://user@host:port,host:port/database`. In user and database, %XX is the character with that
// hexadecimal number, so all but control characters can be there. INVALID_ARGUMENT says what is wrong, without
// repeating the text, in case there is a password in it. An in-memory SQLite database is refused, because every session
// of the pool would get an empty one of its own. The host "localhost" becomes 127.0.0.1, because MySQL clients would
// take it as the local socket and ignore the port.
absl::StatusOr<Url> ParseUrl(const std::string& text);

// Returns the URL as ParseUrl takes it.
std::string ToText(const Url& url);
// "host:port", with brackets around an IPv6 address.
std::string ToText(const Server& server);

}  // namespace crosskey::db
