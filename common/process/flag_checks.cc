#include "common/process/flag_checks.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "common/db/url.h"
#include "common/process/events_url.h"

namespace crosskey::process {
namespace {

constexpr char kLetters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

// Not empty, and only letters, digits and characters of `others`.
bool IsWord(const std::string& text, const std::string& others) {
  return !text.empty() && text.find_first_not_of(kLetters + others) == std::string::npos;
}

bool IsHost(const std::string& text) {
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    return IsWord(text.substr(1, text.size() - 2), ":.%") && absl::StrContains(text, ":");
  }
  return IsWord(text, ".-_");
}

bool IsNumber(const std::string& text, int min, int max) {
  int number = 0;
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  const bool leading_zero = text.size() > 1 && text[0] == '0';
  return digits && !leading_zero && absl::SimpleAtoi(text, &number) && number >= min && number <= max;
}

// Splits at the last `separator`. False if there is none.
bool SplitLast(const std::string& text, char separator, std::string* before, std::string* after) {
  const size_t at = text.rfind(separator);
  if (at == std::string::npos) return false;
  *after = text.substr(at + 1);
  *before = text.substr(0, at);
  return true;
}

}  // namespace

std::string CheckAddress(const std::string& text) {
  std::string host, port;
  if (!SplitLast(text, ':', &host, &port)) return absl::StrCat("'", text, "' is not host:port");
  if (!IsHost(host)) return absl::StrCat("'", text, "' is not host:port: the host is missing or malformed");
  if (!IsNumber(port, 0, 65535)) return absl::StrCat("'", text, "' is not host:port: the port is not 0 to 65535");
  return "";
}

bool IsLoopback(const std::string& address) {
  std::string host, port;
  if (!SplitLast(address, ':', &host, &port)) return false;
  if (host == "localhost" || host == "[::1]") return true;
  // 127.0.0.0/8. A name that begins so is none.
  return absl::StartsWith(host, "127.") && host.find_first_not_of("0123456789.") == std::string::npos;
}

std::string CheckNames(const std::string& text) {
  for (const absl::string_view name : absl::StrSplit(text, ',')) {
    const bool printable = std::all_of(name.begin(), name.end(), [](const char c) { return c > ' ' && c < 0x7f; });
    if (name.empty() || name.size() > 500 || !printable) return absl::StrCat("'", name, "' is no name");
  }
  return "";
}

std::string CheckDatabase(const std::string& text) { return std::string(db::ParseUrl(text).status().message()); }

std::string CheckEvents(const std::string& text) { return std::string(ParseEventsUrl(text).status().message()); }

std::string CheckFilePath(const std::string& path) {
  if (path.empty()) return "'' is no path";
  std::error_code error;
  return std::filesystem::is_directory(path, error) ? absl::StrCat("'", path, "' is a directory") : "";
}

std::string CheckReadableFile(const std::string& path) {
  const std::string why = CheckFilePath(path);
  if (!why.empty()) return why;
  if (access(path.c_str(), R_OK) == 0) return "";
  return absl::StrCat("cannot read '", path, "': ", std::generic_category().message(errno));
}

std::string CheckCertificates(const std::string& path) {
  if (path.find_first_of("{}") != std::string::npos) return absl::StrCat("'", path, "' has a brace in its name");
  return CheckReadableFile(path);
}

std::string CheckNumber(const std::string& text, int min, int max) {
  if (IsNumber(text, min, max)) return "";
  return absl::StrCat("'", text, "' is not a whole number from ", min, " to ", max);
}

std::string CheckDuration(const std::string& text) {
  const size_t digits = text.empty() ? 0 : text.size() - 1;
  const bool unit = !text.empty() && std::string("smh").find(text.back()) != std::string::npos;
  absl::Duration duration;
  const bool good = unit && IsNumber(text.substr(0, digits), 0, 1'000'000'000) &&
                    absl::ParseDuration(text, &duration) && duration <= absl::Hours(10 * 365 * 24);
  return good ? "" : absl::StrCat("'", text, "' is not a time such as 30s, 15m or 168h, at most 87600h");
}

std::string CheckOneOf(const std::string& text, const std::vector<std::string>& words) {
  if (std::find(words.begin(), words.end(), text) != words.end()) return "";
  return absl::StrCat("'", text, "' is not one of ", absl::StrJoin(words, ", "));
}

}  // namespace crosskey::process
