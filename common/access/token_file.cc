#include "common/access/token_file.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/access/strict_json.h"
#include "common/status/errors.h"
#include "common/status/macros.h"

namespace crosskey::access {
namespace {

using nlohmann::json;

constexpr size_t kLongestTime = 40;  // bytes of "2027-01-01T00:00:00.000000000+00:00"

bool IsNameCharacter(unsigned char c) { return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-'; }

absl::StatusOr<Digest> ReadDigest(const json& token, const std::string& path) {
  Digest digest;
  CROSSKEY_ASSIGN_OR_RETURN(const std::string text, ReadMember(token, path, "sha256", 2 * digest.size()));
  const bool hex = std::all_of(text.begin(), text.end(), absl::ascii_isxdigit);
  if (!hex || text.size() != 2 * digest.size()) return Bad(Member(path, "sha256"), "is not 64 hexadecimal digits");
  for (size_t i = 0; i < digest.size(); ++i) {
    uint32_t byte = 0;
    if (absl::SimpleHexAtoi(text.substr(2 * i, 2), &byte)) digest[i] = static_cast<unsigned char>(byte);
  }
  return digest;
}

absl::StatusOr<FileToken> ReadToken(const json& value, const std::string& path) {
  FileToken token;
  CROSSKEY_ASSIGN_OR_RETURN(token.name, ReadMember(value, path, "name", kTokenNameBytes));
  if (!std::all_of(token.name.begin(), token.name.end(), IsNameCharacter)) {
    return Bad(Member(path, "name"), "has a character that is not of A-Z, a-z, 0-9, '.', '_', '-'");
  }
  if (!value.contains("expires")) return token;
  CROSSKEY_ASSIGN_OR_RETURN(const std::string expires, ReadMember(value, path, "expires", kLongestTime));
  if (!absl::ParseTime(absl::RFC3339_full, expires, &token.expires, nullptr) ||
      token.expires == absl::InfiniteFuture()) {
    return Bad(Member(path, "expires"), "is not a time such as 2027-01-01T00:00:00Z");
  }
  return token;
}

}  // namespace

absl::StatusOr<TokenFile> TokenFile::Parse(absl::string_view text) {
  if (text.size() > kTokenFileBytes) return Bad("", absl::StrCat("has more than ", kTokenFileBytes, " bytes"));
  CROSSKEY_ASSIGN_OR_RETURN(const json value, ParseJson(text));
  CROSSKEY_RETURN_IF_ERROR(CheckMembers(value, "", {"tokens"}));
  if (!value.contains("tokens")) return Bad("tokens", "is missing");
  const json& list = value["tokens"];
  if (!list.is_array()) return Bad("tokens", "is not a list");
  if (list.size() > kTokens) return Bad("tokens", absl::StrCat("has more than ", kTokens, " elements"));
  TokenFile file;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string path = Element("tokens", i);
    CROSSKEY_RETURN_IF_ERROR(CheckMembers(list[i], path, {"name", "sha256", "expires"}));
    CROSSKEY_ASSIGN_OR_RETURN(FileToken token, ReadToken(list[i], path));
    CROSSKEY_ASSIGN_OR_RETURN(const Digest digest, ReadDigest(list[i], path));
    const auto [first, is_new] = file.by_digest_.emplace(digest, i);
    if (!is_new) {
      return Bad(Member(path, "sha256"), absl::StrCat("is also that of ", Element("tokens", first->second)));
    }
    file.tokens_.push_back(std::move(token));
  }
  return file;
}

absl::StatusOr<const FileToken*> TokenFile::Check(absl::string_view token, const Digest& digest, absl::Time now) const {
  const auto found = token.size() < kShortestToken ? by_digest_.end() : by_digest_.find(digest);
  if (found == by_digest_.end()) return errors::Unauthenticated("unknown");
  const FileToken& known = tokens_[found->second];
  if (known.expires <= now) return errors::Unauthenticated("expired");
  return &known;
}

}  // namespace crosskey::access
