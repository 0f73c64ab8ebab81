#include "common/access/json_web_token.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/access/strict_json.h"
#include "common/status/errors.h"
#include "common/status/macros.h"

namespace crosskey::access {
namespace {

using nlohmann::json;

constexpr double kLastSecond = 253402300799;  // of the year 9999
constexpr size_t kCoordinateBytes = 32;       // of P-256, and of Ed25519
constexpr size_t kExponentBytes = 8;          // of an RSA key

template <auto free>
struct Free {
  template <typename T>
  void operator()(T* thing) const {
    free(thing);
  }
};
template <typename T, auto free>
using Owned = std::unique_ptr<T, Free<free>>;

// gRPC's TLS reads the queue of errors of OpenSSL on the same threads: nothing of ours may be left there.
class NoErrorsLeft {
 public:
  NoErrorsLeft() { ERR_set_mark(); }
  ~NoErrorsLeft() { ERR_pop_to_mark(); }
  NoErrorsLeft(const NoErrorsLeft&) = delete;
  NoErrorsLeft& operator=(const NoErrorsLeft&) = delete;
};

const unsigned char* Bytes(absl::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

// base64url without padding (RFC 7515). Only in the one form that a value has: else a token would have several texts.
std::optional<std::string> Decode(absl::string_view text) {
  std::string bytes;
  if (!absl::WebSafeBase64Unescape(text, &bytes) || absl::WebSafeBase64Escape(bytes) != text) return std::nullopt;
  return bytes;
}

// ---- Keys

absl::StatusOr<std::string> ReadBytes(const json& key, const std::string& path, const char* name) {
  CROSSKEY_ASSIGN_OR_RETURN(const std::string text, ReadMember(key, path, name, kKeyFileBytes));
  std::optional<std::string> bytes = Decode(text);
  if (!bytes.has_value()) return Bad(Member(path, name), "is not base64url without padding");
  return *std::move(bytes);
}

using Number = Owned<BIGNUM, BN_free>;
Number ToNumber(const std::string& bytes) {
  return Number(BN_bin2bn(Bytes(bytes), static_cast<int>(bytes.size()), nullptr));
}

// Null if OpenSSL refuses the key.
std::shared_ptr<EVP_PKEY> Build(const char* type, OSSL_PARAM_BLD* build) {
  const Owned<OSSL_PARAM, OSSL_PARAM_free> params(OSSL_PARAM_BLD_to_param(build));
  const Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> making(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* made = nullptr;
  if (EVP_PKEY_fromdata_init(making.get()) != 1 ||
      EVP_PKEY_fromdata(making.get(), &made, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return nullptr;
  }
  std::shared_ptr<EVP_PKEY> key(made, EVP_PKEY_free);
  const Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> checking(EVP_PKEY_CTX_new_from_pkey(nullptr, made, nullptr));
  return EVP_PKEY_public_check(checking.get()) == 1 ? key : nullptr;
}

absl::StatusOr<std::shared_ptr<EVP_PKEY>> ReadRsa(const json& key, const std::string& path) {
  CROSSKEY_ASSIGN_OR_RETURN(const std::string n, ReadBytes(key, path, "n"));
  CROSSKEY_ASSIGN_OR_RETURN(const std::string e, ReadBytes(key, path, "e"));
  const Number modulus = ToNumber(n), exponent = ToNumber(e);
  const int bits = BN_num_bits(modulus.get());
  if (bits < kSmallestRsaBits || bits > kLargestRsaBits) {
    return Bad(Member(path, "n"), absl::StrCat("has ", bits, " bits, not ", kSmallestRsaBits, " to ", kLargestRsaBits));
  }
  if (e.size() > kExponentBytes)
    return Bad(Member(path, "e"), absl::StrCat("has more than ", kExponentBytes, " bytes"));
  const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> build(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get());
  OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get());
  std::shared_ptr<EVP_PKEY> made = Build("RSA", build.get());
  if (made == nullptr) return Bad(path, "is not an RSA key");
  return made;
}

absl::Status CheckCoordinate(const std::string& bytes, const std::string& path) {
  if (bytes.size() == kCoordinateBytes) return absl::OkStatus();
  return Bad(path, absl::StrCat("has ", bytes.size(), " bytes, not ", kCoordinateBytes));
}

absl::StatusOr<std::shared_ptr<EVP_PKEY>> ReadP256(const json& key, const std::string& path) {
  CROSSKEY_ASSIGN_OR_RETURN(const std::string x, ReadBytes(key, path, "x"));
  CROSSKEY_ASSIGN_OR_RETURN(const std::string y, ReadBytes(key, path, "y"));
  CROSSKEY_RETURN_IF_ERROR(CheckCoordinate(x, Member(path, "x")));
  CROSSKEY_RETURN_IF_ERROR(CheckCoordinate(y, Member(path, "y")));
  const std::string point = absl::StrCat("\4", x, y);  // uncompressed (SEC 1)
  const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> build(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_utf8_string(build.get(), OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0);
  OSSL_PARAM_BLD_push_octet_string(build.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  std::shared_ptr<EVP_PKEY> made = Build("EC", build.get());
  if (made == nullptr) return Bad(path, "is not a point of P-256");
  return made;
}

absl::StatusOr<std::shared_ptr<EVP_PKEY>> ReadEd25519(const json& key, const std::string& path) {
  CROSSKEY_ASSIGN_OR_RETURN(const std::string x, ReadBytes(key, path, "x"));
  CROSSKEY_RETURN_IF_ERROR(CheckCoordinate(x, Member(path, "x")));
  return std::shared_ptr<EVP_PKEY>(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, Bytes(x), x.size()),
                                   EVP_PKEY_free);
}

// The text of a member; empty if it is missing or no text.
std::string TextOf(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// The only algorithm for which keys of this type and curve are taken; empty: none.
std::string AlgorithmOf(const std::string& type, const std::string& curve) {
  if (type == "RSA") return "RS256";
  if (type == "EC" && curve == "P-256") return "ES256";
  if (type == "OKP" && curve == "Ed25519") return "EdDSA";
  return "";
}

// Why a key does not sign tokens that are taken; empty: it does.
std::string WhyUnused(const json& key, const std::string& alg) {
  if (alg.empty()) return "its kty and crv are not RSA, EC with P-256 or OKP with Ed25519";
  if (key.contains("use") && TextOf(key, "use") != "sig") return "its use is not sig";
  if (key.contains("alg") && TextOf(key, "alg") != alg) return absl::StrCat("its alg is not ", alg);
  if (!key.contains("key_ops")) return "";
  const json& operations = key["key_ops"];
  return std::find(operations.begin(), operations.end(), "verify") == operations.end() ? "its key_ops have no verify"
                                                                                       : "";
}

absl::Status CheckNoSecret(const json& key, const std::string& path) {
  if (TextOf(key, "kty") == "oct") return Bad(path, "is a secret: whoever can check with it can sign with it");
  for (const char* name : {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}) {
    if (key.contains(name)) return Bad(Member(path, name), "is a secret: the file may have public keys only");
  }
  return absl::OkStatus();
}

absl::Status CheckWord(const std::string& text, const char* what, int max_bytes) {
  if (text.empty()) return Bad(what, "is empty");
  if (text.size() > static_cast<size_t>(max_bytes))
    return Bad(what, absl::StrCat("has more than ", max_bytes, " bytes"));
  return HasControl(text) ? Bad(what, "has a control character") : absl::OkStatus();
}

// ---- Tokens

absl::Status Why(const char* why) { return errors::Unauthenticated(why); }

// The two numbers of an ECDSA signature, as OpenSSL reads them (DER); empty if they are not there.
std::string ToDer(const std::string& signature) {
  if (signature.size() != 2 * kCoordinateBytes) return "";
  const Owned<ECDSA_SIG, ECDSA_SIG_free> pair(ECDSA_SIG_new());
  Number r = ToNumber(signature.substr(0, kCoordinateBytes)), s = ToNumber(signature.substr(kCoordinateBytes));
  if (ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) return "";
  (void)r.release();  // the pair has them now
  (void)s.release();
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(pair.get(), &der);
  if (size <= 0) return "";
  std::string text(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return text;
}

bool IsSignedBy(const JsonWebTokens::Key& key, absl::string_view text, const std::string& signature) {
  const NoErrorsLeft no_errors_left;
  const Owned<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  const EVP_MD* hash = key.alg == "EdDSA" ? nullptr : EVP_sha256();  // EdDSA has its own
  if (EVP_DigestVerifyInit(context.get(), nullptr, hash, nullptr, key.key.get()) != 1) return false;
  const std::string der = key.alg == "ES256" ? ToDer(signature) : signature;
  return !der.empty() && EVP_DigestVerify(context.get(), Bytes(der), der.size(), Bytes(text), text.size()) == 1;
}

// The object that a part of the token is; nothing if it is none.
std::optional<json> ReadPart(absl::string_view part) {
  const std::optional<std::string> text = Decode(part);
  if (!text.has_value()) return std::nullopt;
  absl::StatusOr<json> value = ParseJson(*text);
  if (!value.ok() || !value->is_object()) return std::nullopt;
  return *std::move(value);
}

// Tokens of an issuer for other purposes (a logout, a proof of possession) have types of their own.
bool IsType(const json& type) {
  if (!type.is_string()) return false;
  const std::string lower = absl::AsciiStrToLower(type.get_ref<const std::string&>());
  const absl::string_view word = absl::StripPrefix(lower, "application/");
  return word == "jwt" || word == "at+jwt";
}

// Seconds since 1970, possibly with a fraction. False: there is something else.
bool ReadTime(const json& claims, const char* name, std::optional<absl::Time>* time) {
  const auto found = claims.find(name);
  if (found == claims.end()) return true;
  if (!found->is_number()) return false;
  const double seconds = found->get<double>();
  if (!(seconds >= 0 && seconds <= kLastSecond)) return false;
  *time = absl::FromUnixSeconds(static_cast<int64_t>(std::floor(seconds)));
  return true;
}

// Whether `aud`, a text or a list of texts, has the audience. Nothing: it is neither.
std::optional<bool> IsFor(const json& claims, const std::string& audience) {
  const auto found = claims.find("aud");
  if (found == claims.end()) return false;
  if (found->is_string()) return *found == audience;
  if (!found->is_array()) return std::nullopt;
  if (!std::all_of(found->begin(), found->end(), [](const json& one) { return one.is_string(); })) return std::nullopt;
  return std::find(found->begin(), found->end(), audience) != found->end();
}

}  // namespace

absl::Status CheckIssuer(const std::string& issuer) {
  // The # of a principal must tell where the subject begins.
  if (absl::StrContains(issuer, "#")) return Bad("issuer", "has a #");
  return CheckWord(issuer, "issuer", kIssuerBytes);
}

absl::Status CheckAudience(const std::string& audience) { return CheckWord(audience, "audience", kIssuerBytes); }

absl::StatusOr<JsonWebTokens> JsonWebTokens::Parse(absl::string_view keys, const std::string& issuer,
                                                   const std::string& audience) {
  const NoErrorsLeft no_errors_left;
  if (keys.size() > kKeyFileBytes) return Bad("", absl::StrCat("has more than ", kKeyFileBytes, " bytes"));
  CROSSKEY_RETURN_IF_ERROR(CheckIssuer(issuer));
  CROSSKEY_RETURN_IF_ERROR(CheckAudience(audience));
  JsonWebTokens tokens;
  tokens.issuer_ = issuer;
  tokens.audience_ = audience;
  CROSSKEY_ASSIGN_OR_RETURN(const json set, ParseJson(keys));
  if (!set.is_object() || !set.contains("keys")) return Bad("keys", "is missing: this is no JSON Web Key Set");
  const json& list = set["keys"];
  if (!list.is_array()) return Bad("keys", "is not a list");
  if (list.size() > kKeys) return Bad("keys", absl::StrCat("has more than ", kKeys, " elements"));
  std::map<std::string, std::string> paths;  // by kid
  for (size_t i = 0; i < list.size(); ++i) {
    const json& value = list[i];
    const std::string path = Element("keys", i);
    if (!value.is_object()) return Bad(path, "is not an object");
    CROSSKEY_RETURN_IF_ERROR(CheckNoSecret(value, path));
    Key key;
    key.alg = AlgorithmOf(TextOf(value, "kty"), TextOf(value, "crv"));
    const std::string why = WhyUnused(value, key.alg);
    if (!why.empty()) {
      tokens.unused_.push_back(absl::StrCat(path, ": ", why));
      continue;
    }
    if (value.contains("kid")) {
      CROSSKEY_ASSIGN_OR_RETURN(key.kid, ReadMember(value, path, "kid", kKeyIdBytes));
    }
    const auto [other, is_new] = paths.emplace(key.kid, path);
    if (!is_new) return Bad(Member(path, "kid"), absl::StrCat("is also that of ", other->second));
    if (key.alg == "RS256") {
      CROSSKEY_ASSIGN_OR_RETURN(key.key, ReadRsa(value, path));
    } else if (key.alg == "ES256") {
      CROSSKEY_ASSIGN_OR_RETURN(key.key, ReadP256(value, path));
    } else {
      CROSSKEY_ASSIGN_OR_RETURN(key.key, ReadEd25519(value, path));
    }
    tokens.keys_.push_back(std::move(key));
  }
  if (tokens.keys_.empty()) {
    return Bad("keys", absl::StrCat("has none that can be used", tokens.unused_.empty() ? "" : "; ",
                                    tokens.unused_.empty() ? "" : tokens.unused_.front()));
  }
  const auto nameless = paths.find("");
  if (nameless != paths.end() && paths.size() > 1) {
    return Bad(Member(nameless->second, "kid"), "is missing, and there are several keys");
  }
  return tokens;
}

bool JsonWebTokens::IsOne(absl::string_view token) { return std::count(token.begin(), token.end(), '.') == 2; }

const JsonWebTokens::Key* JsonWebTokens::Find(const std::string* kid) const {
  if (kid == nullptr) return keys_.size() == 1 ? &keys_.front() : nullptr;
  const auto found = std::find_if(keys_.begin(), keys_.end(), [&](const Key& key) { return key.kid == *kid; });
  return found == keys_.end() || kid->empty() ? nullptr : &*found;
}

absl::StatusOr<JsonWebToken> JsonWebTokens::Check(absl::string_view token, absl::Time now) const {
  if (token.size() > kTokenBytes || !IsOne(token)) return Why("malformed");
  const std::vector<absl::string_view> parts = absl::StrSplit(token, '.');
  const std::optional<json> header = ReadPart(parts[0]);
  const std::optional<std::string> signature = Decode(parts[2]);
  if (!header.has_value() || !signature.has_value()) return Why("malformed");
  // `crit` names extensions that must be understood. What else the header offers, keys above all, is not looked at.
  if (header->contains("crit") || (header->contains("typ") && !IsType((*header)["typ"]))) return Why("malformed");
  const std::string alg = TextOf(*header, "alg");
  if (alg != "RS256" && alg != "ES256" && alg != "EdDSA") return Why("malformed");
  const auto kid = header->find("kid");
  if (kid != header->end() && !kid->is_string()) return Why("malformed");
  const Key* key = Find(kid == header->end() ? nullptr : kid->get_ptr<const std::string*>());
  if (key == nullptr) return Why("unknown");
  if (key->alg != alg) return Why("wrong_signature");
  if (!IsSignedBy(*key, token.substr(0, parts[0].size() + 1 + parts[1].size()), *signature)) {
    return Why("wrong_signature");
  }

  const std::optional<json> claims = ReadPart(parts[1]);
  if (!claims.has_value()) return Why("malformed");
  std::optional<absl::Time> expires, begins, issued;
  if (!ReadTime(*claims, "exp", &expires) || !ReadTime(*claims, "nbf", &begins) || !ReadTime(*claims, "iat", &issued) ||
      !expires.has_value()) {
    return Why("malformed");
  }
  const auto subject = claims->find("sub");
  if (subject == claims->end() || !ReadText(*subject, "sub", kSubjectBytes).ok()) return Why("malformed");
  if (TextOf(*claims, "iss") != issuer_) return Why("wrong_issuer");
  const std::optional<bool> is_for_us = IsFor(*claims, audience_);
  if (!is_for_us.has_value()) return Why("malformed");
  if (!*is_for_us) return Why("wrong_audience");
  if (*expires <= now) return Why("expired");
  if (begins.value_or(now) > now + kClockLeeway || issued.value_or(now) > now + kClockLeeway) {
    return Why("not_yet_valid");
  }

  JsonWebToken good;
  good.principal = absl::StrCat("jwt:", issuer_, "#", subject->get_ref<const std::string&>());
  good.expires = *expires;
  for (const auto& claim : claims->items()) {
    const std::optional<int64_t> id = ReadUserId(claim.value());
    if (id.has_value()) good.ids.emplace(claim.key(), *id);
  }
  return good;
}

}  // namespace crosskey::access
