#include "common/db/url.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/status/limits.h"
#include "common/status/macros.h"

namespace crosskey::db {
namespace {

// The error leaves out the URL itself: it may hold a password, and the message is printed and logged.
absl::Status Bad(const std::string& why) {
  return absl::InvalidArgumentError(
      absl::StrCat("the database URL: ", why, "; expected sqlite:PATH or mysql://user@host:port[,host:port]/database"));
}

bool IsHost(const std::string& host) {
  const auto is_known = [](unsigned char c) { return absl::ascii_isalnum(c) || absl::StrContains(".-_:%", c); };
  return !host.empty() && std::all_of(host.begin(), host.end(), is_known);
}

// Whether a character stands for itself in the URL.
bool IsPlain(char c) { return absl::ascii_isgraph(static_cast<unsigned char>(c)) && !absl::StrContains("'\"%?#", c); }

// A name with its %XX decoded. nullopt: it has another character that is not plain, or is one of control characters.
std::optional<std::string> Decoded(const std::string& part) {
  std::string name;
  for (size_t i = 0; i < part.size(); ++i) {
    const std::string digits = part.substr(i + 1, 2);
    if (IsPlain(part[i])) {
      name += part[i];
    } else if (part[i] == '%' && digits.size() == 2 && absl::ascii_isxdigit(static_cast<unsigned char>(digits[0])) &&
               absl::ascii_isxdigit(static_cast<unsigned char>(digits[1]))) {
      name += absl::HexStringToBytes(digits);
      i += 2;
    } else {
      return std::nullopt;
    }
    if (absl::ascii_iscntrl(static_cast<unsigned char>(name.back()))) return std::nullopt;
  }
  return name;
}

std::string Encoded(const std::string& name) {
  std::string part;
  for (const char c : name) {
    const bool is_part_of_url = c == '/' || c == '@' || c == ':';
    if (IsPlain(c) && !is_part_of_url) {
      part += c;
    } else {
      absl::StrAppend(&part, "%", absl::BytesToHexString(std::string(1, c)));
    }
  }
  return part;
}

absl::StatusOr<Server> ParseServer(const std::string& address) {
  Server server;
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &server.port) || server.port < 1 ||
      server.port > 65535) {
    return Bad("the port is missing or not a number from 1 to 65535");
  }
  server.host = address.substr(0, colon);
  if (server.host == "localhost") server.host = "127.0.0.1";
  if (absl::StartsWith(server.host, "[") && absl::EndsWith(server.host, "]")) {  // IPv6
    server.host = server.host.substr(1, server.host.size() - 2);
  }
  return server;
}

}  // namespace

absl::StatusOr<Url> ParseUrl(const std::string& text) {
  Url url;
  if (absl::StartsWith(text, "sqlite:")) {
    url.path = text.substr(7);
    if (url.path.empty()) return Bad("the path is missing");
    if (absl::StrContains(url.path, ":memory:")) return Bad("an in-memory database cannot be shared by a pool");
    if (url.path.find('"') != std::string::npos) return Bad("a path with a double quote");
    if (absl::StartsWith(url.path, "file:")) return Bad("SQLite takes a path with file: for a URI");
    return url;
  }
  if (!absl::StartsWith(text, "mysql://")) return Bad("unknown kind of database");
  url.dialect = Dialect::kMysql;
  const std::string rest = text.substr(8);
  const size_t at = rest.rfind('@');
  const size_t slash = rest.find('/', at == std::string::npos ? 0 : at);
  if (at == std::string::npos || slash == std::string::npos) return Bad("a part is missing");
  const std::string user = rest.substr(0, at);
  const std::optional<std::string> decoded = Decoded(user);
  const std::optional<std::string> database = Decoded(rest.substr(slash + 1));
  for (const absl::string_view address : absl::StrSplit(rest.substr(at + 1, slash - at - 1), ',')) {
    CROSSKEY_ASSIGN_OR_RETURN(Server server, ParseServer(std::string(address)));
    url.servers.push_back(std::move(server));
  }
  if (url.servers.size() > limits::kServers) return Bad(absl::StrCat("more than ", limits::kServers, " servers"));
  if (absl::StrContains(user, ":")) return Bad("a password belongs into --db-password-file");
  if (!decoded.has_value() || decoded->empty())
    return Bad("the user is missing, or has a character that must be written as %XX");
  for (const Server& server : url.servers) {
    if (!IsHost(server.host)) return Bad("the host is missing, or no name of a host");
  }
  if (!database.has_value() || database->empty())
    return Bad("the database is missing, or has a character that must be written as %XX");
  url.user = *decoded;
  url.database = *database;
  return url;
}

std::string ToText(const Url& url) {
  if (url.dialect == Dialect::kSqlite) return "sqlite:" + url.path;
  const auto append = [](std::string* text, const Server& server) { *text += ToText(server); };
  return absl::StrCat("mysql://", Encoded(url.user), "@", absl::StrJoin(url.servers, ",", append), "/",
                      Encoded(url.database));
}

std::string ToText(const Server& server) {
  const bool ipv6 = absl::StrContains(server.host, ":");
  return absl::StrCat(ipv6 ? "[" : "", server.host, ipv6 ? "]" : "", ":", server.port);
}

}  // namespace crosskey::db
