// The file with the hashes of bearer tokens.
//
//   {"tokens": [{"name": "web", "sha256": "<64 hexadecimal digits>", "expires": "2027-01-01T00:00:00Z"}]}
//
// `expires` may be left out. Several tokens may have one name, so that a new one is valid beside the old one while
// clients change over. Make a token and its hash so:
//
//   token=$(openssl rand -base64 32)
//   printf %s "$token" | sha256sum
//
// The hash is not salted and not slow, because it need not be: a token is random, and nobody guesses 32 random bytes.
// For the same reason it may be looked up in a table: how long that takes tells something of hashes, and nobody who
// knows something of a hash can make a token of it.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/access/digest.h"

namespace crosskey::access {

inline constexpr int kTokenFileBytes = 1024 * 1024;
inline constexpr int kTokens = 10'000;
inline constexpr int kTokenNameBytes = 100;
inline constexpr int kShortestToken = 20;  // bytes; a shorter one could be guessed from its hash

struct FileToken {
  std::string name;
  absl::Time expires = absl::InfiniteFuture();

  std::string principal() const { return "token:" + name; }
};

// Never changes once it is made.
class TokenFile {
 public:
  // INVALID_ARGUMENT with the place in the file and the reason.
  static absl::StatusOr<TokenFile> Parse(absl::string_view text);

  // `digest` is that of `token`. The result is good for as long as this object. UNAUTHENTICATED: unknown, expired.
  absl::StatusOr<const FileToken*> Check(absl::string_view token, const Digest& digest, absl::Time now) const;

  const std::vector<FileToken>& tokens() const { return tokens_; }

 private:
  std::vector<FileToken> tokens_;
  std::unordered_map<Digest, size_t, DigestHash> by_digest_;
};

}  // namespace crosskey::access
