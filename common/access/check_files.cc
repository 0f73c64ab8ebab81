#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "common/access/access.h"
#include "common/access/json_web_token.h"
#include "common/access/policy.h"
#include "common/access/token_file.h"
#include "common/files/read_file.h"

namespace crosskey::access {
namespace {

std::string Describe(const Policy& policy) {
  std::string text = absl::StrCat("policy ", policy.name(), "\n");
  for (const std::string& rule : policy.DenyRules()) absl::StrAppend(&text, "  denies: ", rule, "\n");
  for (const std::string& rule : policy.AllowRules()) absl::StrAppend(&text, "  allows: ", rule, "\n");
  if (policy.owners() > 0) absl::StrAppend(&text, "  owners: ", policy.owners(), "\n");
  return text;
}

std::string Describe(const TokenFile& file, absl::Time now) {
  std::string text = absl::StrCat("tokens ", file.tokens().size(), "\n");
  for (const FileToken& token : file.tokens()) {
    absl::StrAppend(&text, "  ", token.name);
    if (token.expires != absl::InfiniteFuture()) {
      absl::StrAppend(&text, token.expires <= now ? ", expired " : ", until ",
                      absl::FormatTime(absl::RFC3339_sec, token.expires, absl::UTCTimeZone()));
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

std::string Describe(const JsonWebTokens& jwts) {
  std::string text = absl::StrCat("keys ", jwts.keys().size(), "\n");
  for (const JsonWebTokens::Key& key : jwts.keys()) {
    absl::StrAppend(&text, "  ", key.kid.empty() ? "(without kid)" : key.kid, " ", key.alg, "\n");
  }
  for (const std::string& unused : jwts.unused()) absl::StrAppend(&text, "  not used: ", unused, "\n");
  return text;
}

}  // namespace

absl::Status CheckFiles(const Options& options, absl::Time now, std::string* summary) {
  std::vector<std::string> problems;
  const auto check = [&](const std::string& path, size_t max_bytes,
                         const std::function<absl::StatusOr<std::string>(const std::string&)>& describe) {
    if (path.empty()) return;
    const absl::StatusOr<std::string> content = files::ReadFile(path, max_bytes);
    if (!content.ok()) {
      problems.emplace_back(content.status().message());
      return;
    }
    const absl::StatusOr<std::string> described = describe(*content);
    if (described.ok()) {
      *summary += *described;
    } else {
      problems.push_back(absl::StrCat(path, ": ", described.status().message()));
    }
  };
  const absl::Status checked = CheckOptions(options);
  if (!checked.ok()) problems.emplace_back(checked.message());
  check(options.policy, kPolicyBytes, [](const std::string& content) -> absl::StatusOr<std::string> {
    const absl::StatusOr<Policy> policy = Policy::Parse(content);
    return policy.ok() ? absl::StatusOr<std::string>(Describe(*policy)) : policy.status();
  });
  check(options.tokens, kTokenFileBytes, [now](const std::string& content) -> absl::StatusOr<std::string> {
    const absl::StatusOr<TokenFile> tokens = TokenFile::Parse(content);
    return tokens.ok() ? absl::StatusOr<std::string>(Describe(*tokens, now)) : tokens.status();
  });
  const std::string keys = checked.ok() ? options.jwt_keys : "";
  check(keys, kKeyFileBytes, [&options](const std::string& content) -> absl::StatusOr<std::string> {
    const auto jwts = JsonWebTokens::Parse(content, options.jwt_issuer, options.jwt_audience);
    return jwts.ok() ? absl::StatusOr<std::string>(Describe(*jwts)) : jwts.status();
  });
  return problems.empty() ? absl::OkStatus() : absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
}

}  // namespace crosskey::access
