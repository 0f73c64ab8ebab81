// JSON Web Tokens (RFC 7519) that an issuer has signed, judged as RFC 8725 recommends.
//
// The signature is checked by OpenSSL, and what is around it here. Of the libraries that Debian 12 and 13 have, only
// Rhonabwy knows EdDSA and sets of keys. But nobody maintains it since 2024, it brings 36 libraries (14 MB) into the
// image, among them clients of HTTP, LDAP and Kerberos, and in Debian 12 it inflates a compressed token before it
// checks the signature. libjwt and cjose know no EdDSA, and each check of a claim would still be ours.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

extern "C" {
struct evp_pkey_st;  // EVP_PKEY of OpenSSL
}

namespace crosskey::access {

inline constexpr int kTokenBytes = 8 * 1024;  // of any bearer token
inline constexpr int kKeyFileBytes = 256 * 1024;
inline constexpr int kKeys = 100;
inline constexpr int kKeyIdBytes = 500;
inline constexpr int kSmallestRsaBits = 2048;
inline constexpr int kLargestRsaBits = 8192;  // larger ones take milliseconds
inline constexpr int kSubjectBytes = 500;
inline constexpr int kIssuerBytes = 500;  // also of the audience
// By so much another clock may be ahead when it says that a token begins to be valid. The end has no leeway.
inline constexpr absl::Duration kClockLeeway = absl::Seconds(60);

// What a good token says.
struct JsonWebToken {
  std::string principal;  // "jwt:ISSUER#SUBJECT"
  absl::Time expires;
  std::map<std::string, int64_t> ids;  // its claims that can be the id of a user
};

// Keys, and whose tokens for whom they prove. Never changes once it is made; thread-safe.
class JsonWebTokens {
 public:
  struct Key {
    std::string kid;  // empty: it has none, and is the only one
    std::string alg;  // "RS256", "ES256", "EdDSA"
    std::shared_ptr<evp_pkey_st> key;
  };

  // `keys` is a JSON Web Key Set (RFC 7517). Keys for other purposes or algorithms are left out, see Unused. Refused:
  // a set that has secrets, two keys with one `kid` or no key that can be used. INVALID_ARGUMENT with the place and the
  // reason.
  static absl::StatusOr<JsonWebTokens> Parse(absl::string_view keys, const std::string& issuer,
                                             const std::string& audience);

  // Whether it has the three parts of a signed token.
  static bool IsOne(absl::string_view token);

  // UNAUTHENTICATED: malformed, unknown (the key), wrong_signature, wrong_issuer, wrong_audience, expired,
  // not_yet_valid; the first that is true. Takes some tens of microseconds.
  absl::StatusOr<JsonWebToken> Check(absl::string_view token, absl::Time now) const;

  const std::vector<Key>& keys() const { return keys_; }
  // Each key that is left out, as "keys[2]: why".
  const std::vector<std::string>& unused() const { return unused_; }

 private:
  const Key* Find(const std::string* kid) const;

  std::string issuer_;
  std::string audience_;
  std::vector<Key> keys_;
  std::vector<std::string> unused_;
};

// INVALID_ARGUMENT if it cannot be part of a principal.
absl::Status CheckIssuer(const std::string& issuer);
absl::Status CheckAudience(const std::string& audience);

}  // namespace crosskey::access
