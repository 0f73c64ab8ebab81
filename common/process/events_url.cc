#include "common/process/events_url.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/process/flag_checks.h"
#include "common/status/limits.h"

namespace crosskey::process {
namespace {

constexpr char kWord[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
constexpr size_t kWordBytes = 64;

absl::Status Bad(const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "the URL of events: ", why, "; expected nats://[user@]host:port[,host:port...][/prefix], or tls:// and so on"));
}

bool IsWord(const std::string& text) {
  return !text.empty() && text.size() <= kWordBytes && text.find_first_not_of(kWord) == std::string::npos;
}

}  // namespace

absl::StatusOr<EventsUrl> ParseEventsUrl(const std::string& text) {
  EventsUrl url;
  url.tls = absl::StartsWith(text, "tls://");
  if (!url.tls && !absl::StartsWith(text, "nats://")) return Bad("unknown scheme");
  std::string rest = text.substr(text.find("://") + 3);
  const size_t at = rest.rfind('@');
  if (at != std::string::npos) {
    url.user = rest.substr(0, at);
    if (absl::StrContains(url.user, ":")) return Bad("a password belongs into --events-password-file");
    if (!IsWord(url.user)) return Bad("the user has other characters than letters, digits, - and _, or none");
    rest = rest.substr(at + 1);
  }
  const size_t slash = rest.find('/');
  url.prefix = slash == std::string::npos ? "crosskey" : rest.substr(slash + 1);
  if (!IsWord(url.prefix)) return Bad("the prefix has other characters than letters, digits, - and _, or none");
  for (const absl::string_view server : absl::StrSplit(rest.substr(0, slash), ',')) {
    if (!CheckAddress(std::string(server)).empty() || absl::EndsWith(server, ":0")) {
      return Bad("a server is not host:port");
    }
    url.servers.emplace_back(server);
  }
  if (url.servers.size() > limits::kEventServers) return Bad(absl::StrCat("more than ", limits::kEventServers));
  return url;
}

}  // namespace crosskey::process
