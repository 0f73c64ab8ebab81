#include "common/db/url.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace crosskey::db {
namespace {

// The error leaves out the URL itself: it may hold a password, and the message is printed and logged.
absl::Status Bad(const std::string& why) {
  return absl::InvalidArgumentError(
      absl::StrCat("the database URL: ", why, "; expected sqlite:PATH or mysql://user@host:port/database"));
}

// The parts become values of a SOCI connection string, which knows quotes but no escapes.
bool IsPlain(const std::string& part) { return !part.empty() && part.find_first_of("'\" \t\n=") == std::string::npos; }

}  // namespace

absl::StatusOr<Url> ParseUrl(const std::string& text) {
  Url url;
  if (absl::StartsWith(text, "sqlite:")) {
    url.path = text.substr(7);
    if (url.path.empty()) return Bad("the path is missing");
    if (absl::StrContains(url.path, ":memory:")) return Bad("an in-memory database cannot be shared by a pool");
    if (url.path.find('"') != std::string::npos) return Bad("a path with a double quote");
    return url;
  }
  if (!absl::StartsWith(text, "mysql://")) return Bad("unknown kind of database");
  url.dialect = Dialect::kMysql;
  const std::string rest = text.substr(8);
  const size_t at = rest.rfind('@');
  const size_t slash = rest.find('/', at == std::string::npos ? 0 : at);
  if (at == std::string::npos || slash == std::string::npos) return Bad("a part is missing");
  url.user = rest.substr(0, at);
  url.database = rest.substr(slash + 1);
  std::string address = rest.substr(at + 1, slash - at - 1);
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &url.port) || url.port < 1 ||
      url.port > 65535) {
    return Bad("the port is missing or not a number from 1 to 65535");
  }
  url.host = address.substr(0, colon);
  if (url.host == "localhost") url.host = "127.0.0.1";
  if (absl::StartsWith(url.host, "[") && absl::EndsWith(url.host, "]")) {  // IPv6
    url.host = url.host.substr(1, url.host.size() - 2);
  }
  if (absl::StrContains(url.user, ":")) return Bad("a password belongs into --db-password-file");
  if (!IsPlain(url.user)) return Bad("the user is missing or has a quote, blank or =");
  if (!IsPlain(url.host)) return Bad("the host is missing or has a quote, blank or =");
  if (!IsPlain(url.database)) return Bad("the database is missing or has a quote, blank or =");
  return url;
}

std::string ToText(const Url& url) {
  if (url.dialect == Dialect::kSqlite) return "sqlite:" + url.path;
  const bool ipv6 = absl::StrContains(url.host, ":");
  return absl::StrCat("mysql://", url.user, "@", ipv6 ? "[" : "", url.host, ipv6 ? "]" : "", ":", url.port, "/",
                      url.database);
}

}  // namespace crosskey::db
