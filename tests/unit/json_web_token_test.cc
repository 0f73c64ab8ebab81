// access::JsonWebTokens: which tokens are good, and what is refused as a set of keys. The tokens are attacks, for the
// most part.
#include "common/access/json_web_token.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/hmac.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tests/support/signing_key.h"
#include "tests/support/why.h"

namespace crosskey::testing {
namespace {

using access::JsonWebTokens;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kIssuer[] = "https://login.example";
constexpr char kAudience[] = "crosskey";
const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

constexpr char kTimes[] = R"("exp": 1800000600, "nbf": 1800000000, "iat": 1800000000)";
constexpr char kParties[] = R"("iss": "https://login.example", "aud": "crosskey", "sub": "ada")";

// Made once, because RSA takes its time.
const SigningKey& Rsa() {
  static const auto* const key = new SigningKey(SigningKey::Rsa());
  return *key;
}
const SigningKey& OtherRsa() {
  static const auto* const key = new SigningKey(SigningKey::Rsa());
  return *key;
}
const SigningKey& P256() {
  static const auto* const key = new SigningKey(SigningKey::P256());
  return *key;
}
const SigningKey& Ed25519() {
  static const auto* const key = new SigningKey(SigningKey::Ed25519());
  return *key;
}

std::string Set(const std::vector<std::string>& keys) {
  return absl::StrCat(R"({"keys": [)", absl::StrJoin(keys, ", "), "]}");
}
JsonWebTokens Of(const std::vector<std::string>& keys) {
  auto tokens = JsonWebTokens::Parse(Set(keys), kIssuer, kAudience);
  EXPECT_TRUE(tokens.ok()) << tokens.status();
  return *std::move(tokens);
}
// With a key of each kind.
const JsonWebTokens& All() {
  static const auto* const tokens = new JsonWebTokens(Of({Rsa().Jwk("rsa"), P256().Jwk("p256"), Ed25519().Jwk("ed")}));
  return *tokens;
}

std::string Claims(const std::string& more = "") {
  return absl::StrCat("{", kParties, ", ", kTimes, more.empty() ? "" : ", ", more, "}");
}
// Good claims, but for one.
std::string ClaimsWith(const std::string& good, const std::string& instead) {
  const std::string claims = absl::StrReplaceAll(Claims(), {{good, instead}});
  EXPECT_NE(claims, Claims());
  return claims;
}

// The principal, or why there is none.
std::string Check(const std::string& token, absl::Time now = kNow, const JsonWebTokens& tokens = All()) {
  const auto good = tokens.Check(token, now);
  EXPECT_EQ(ERR_peek_error(), 0U) << "gRPC would take this for an error of its own";
  return good.ok() ? good->principal : WhyOf(good);
}
std::string CheckClaims(const std::string& claims, absl::Time now = kNow) {
  return Check(Ed25519().SignAs("ed", claims), now);
}
// Signed with the right key, whatever the header says.
std::string CheckHeader(const std::string& header) { return Check(Ed25519().Sign(header, Claims())); }

std::string ErrorOf(const std::string& set) {
  const auto tokens = JsonWebTokens::Parse(set, kIssuer, kAudience);
  EXPECT_EQ(tokens.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ERR_peek_error(), 0U);
  return std::string(tokens.status().message());
}

TEST(JsonWebTokens, OfEachAlgorithmAreGood) {
  EXPECT_EQ(Check(Rsa().SignAs("rsa", Claims())), "jwt:https://login.example#ada");
  EXPECT_EQ(Check(P256().SignAs("p256", Claims())), "jwt:https://login.example#ada");
  EXPECT_EQ(Check(Ed25519().SignAs("ed", Claims())), "jwt:https://login.example#ada");
}

TEST(JsonWebTokens, TellTheirEndAndTheIdsInThem) {
  const auto good = All().Check(
      Ed25519().SignAs("ed", Claims(R"("user": 7, "text": "9007199254740993", "zero": 0, "name": "7a", "list": [7])")),
      kNow);
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(good->expires, absl::FromUnixSeconds(1'800'000'600));
  EXPECT_EQ(good->ids.at("user"), 7);
  EXPECT_EQ(good->ids.at("text"), 9007199254740993);
  for (const char* none : {"zero", "name", "list", "sub"}) EXPECT_EQ(good->ids.count(none), 0U) << none;
}

TEST(JsonWebTokens, OfKubernetesAreGood) {
  const std::string issuer = "https://kubernetes.default.svc.cluster.local";
  const auto tokens = JsonWebTokens::Parse(
      absl::StrCat(R"({"keys":[)", Rsa().Jwk("pNTH0FwyAiK", R"("use": "sig", "alg": "RS256", )"), "]}"), issuer,
      kAudience);
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  const std::string claims = R"({"aud":["crosskey","other"],"exp":1800003600,"iat":1800000000,"nbf":1800000000,
      "iss":"https://kubernetes.default.svc.cluster.local","jti":"ea28ed49-2e11-4280-9ec5-bc3d1d84661a",
      "kubernetes.io":{"namespace":"blog","node":{"name":"n1","uid":"646e7c5e"},"pod":{"name":"web-1","uid":"0a4"},
      "serviceaccount":{"name":"web","uid":"14ee3fa4"},"warnafter":1800003607},
      "sub":"system:serviceaccount:blog:web"})";
  EXPECT_EQ(Check(Rsa().Sign(R"({"alg":"RS256","kid":"pNTH0FwyAiK"})", claims), kNow, *tokens),
            "jwt:https://kubernetes.default.svc.cluster.local#system:serviceaccount:blog:web");
}

TEST(JsonWebTokens, WithoutSignatureAreRefused) {
  const std::string claims = Base64Url(Claims());
  for (const char* alg : {"none", "None", "NONE", ""}) {
    const std::string header = Base64Url(absl::StrCat(R"({"alg": ")", alg, R"(", "kid": "rsa"})"));
    EXPECT_EQ(Check(absl::StrCat(header, ".", claims, ".")), "malformed") << alg;
    EXPECT_EQ(Check(absl::StrCat(header, ".", claims)), "malformed") << alg;
  }
  for (const char* header : {R"({"alg": "RS256", "kid": "rsa"})", R"({"alg": "ES256", "kid": "p256"})",
                             R"({"alg": "EdDSA", "kid": "ed"})"}) {
    EXPECT_EQ(Check(absl::StrCat(Base64Url(header), ".", claims, ".")), "wrong_signature");
    for (const size_t zeros : {64U, 256U}) {
      EXPECT_EQ(Check(absl::StrCat(Base64Url(header), ".", claims, ".", Base64Url(std::string(zeros, '\0')))),
                "wrong_signature");
    }
  }
}

TEST(JsonWebTokens, SignedWithThePublicKeyAsASecretAreRefused) {
  for (const std::string& secret : {Rsa().Pem(), Rsa().Jwk("rsa")}) {
    const std::string text = absl::StrCat(Base64Url(R"({"alg": "HS256", "kid": "rsa"})"), ".", Base64Url(Claims()));
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &size);
    EXPECT_EQ(Check(absl::StrCat(text, ".", Base64Url(absl::string_view(reinterpret_cast<char*>(mac), size)))),
              "malformed");
  }
}

TEST(JsonWebTokens, TheAlgorithmIsThatOfTheKey) {
  EXPECT_EQ(Check(Rsa().Sign(R"({"alg": "ES256", "kid": "rsa"})", Claims())), "wrong_signature");
  EXPECT_EQ(Check(Rsa().Sign(R"({"alg": "RS256", "kid": "p256"})", Claims())), "wrong_signature");
  EXPECT_EQ(Check(Rsa().Sign(R"({"alg": "EdDSA", "kid": "ed"})", Claims())), "wrong_signature");
  for (const char* alg : {"RS384", "PS256", "ES384", "HS512", "rs256", "ES256K"}) {
    EXPECT_EQ(Check(Rsa().Sign(absl::StrCat(R"({"alg": ")", alg, R"(", "kid": "rsa"})"), Claims())), "malformed");
  }
  EXPECT_EQ(CheckHeader(R"({"kid": "ed"})"), "malformed");
  EXPECT_EQ(CheckHeader(R"({"alg": ["EdDSA"], "kid": "ed"})"), "malformed");
}

TEST(JsonWebTokens, KeysOfTheHeaderAreNotLookedAt) {
  const SigningKey own = SigningKey::Ed25519();
  for (const std::string& offered :
       {absl::StrCat(R"("jwk": )", own.Jwk("ed")), std::string(R"("jku": "https://evil.example/keys")"),
        std::string(R"("x5u": "https://evil.example/cert")"), std::string(R"("x5c": ["MIIB"])")}) {
    EXPECT_EQ(Check(own.Sign(absl::StrCat(R"({"alg": "EdDSA", "kid": "ed", )", offered, "}"), Claims())),
              "wrong_signature");
    EXPECT_EQ(Check(own.Sign(absl::StrCat(R"({"alg": "EdDSA", )", offered, "}"), Claims())), "unknown");
    EXPECT_EQ(CheckHeader(absl::StrCat(R"({"alg": "EdDSA", "kid": "ed", )", offered, "}")),
              "jwt:https://login.example#ada");
  }
}

TEST(JsonWebTokens, KeysAreFoundByTheirKid) {
  EXPECT_EQ(Check(Rsa().SignAs("other", Claims())), "unknown");
  EXPECT_EQ(Check(Rsa().SignAs("", Claims())), "unknown");
  EXPECT_EQ(Check(OtherRsa().SignAs("rsa", Claims())), "wrong_signature");
  EXPECT_EQ(CheckHeader(R"({"alg": "EdDSA", "kid": 1})"), "malformed");
  EXPECT_EQ(CheckHeader(R"({"alg": "EdDSA"})"), "unknown") << "there are several keys";
}

TEST(JsonWebTokens, AnOnlyKeyNeedsNoKid) {
  const std::string nameless = Rsa().Sign(R"({"alg": "RS256"})", Claims());
  const JsonWebTokens named = Of({Rsa().Jwk("rsa")}), unnamed = Of({Rsa().Jwk("")});
  EXPECT_EQ(Check(nameless, kNow, named), "jwt:https://login.example#ada");
  EXPECT_EQ(Check(nameless, kNow, unnamed), "jwt:https://login.example#ada");
  EXPECT_EQ(Check(Rsa().SignAs("rsa", Claims()), kNow, unnamed), "unknown");
  EXPECT_EQ(Check(Rsa().SignAs("", Claims()), kNow, unnamed), "unknown");
}

TEST(JsonWebTokens, ChangedOnesAreRefused) {
  const SigningKey* const keys[] = {&Rsa(), &P256(), &Ed25519()};
  const char* const kids[] = {"rsa", "p256", "ed"};
  for (size_t i = 0; i < 3; ++i) {
    const std::vector<std::string> parts = absl::StrSplit(keys[i]->SignAs(kids[i], Claims()), '.');
    const std::string text = absl::StrCat(parts[0], ".", parts[1]);
    const std::string signature = keys[i]->Signature(text);
    EXPECT_EQ(Check(absl::StrCat(text, ".", Base64Url(signature))), "jwt:https://login.example#ada");
    for (const std::string& wrong : {signature.substr(0, signature.size() - 1), signature + '\0', signature + signature,
                                     signature.substr(1), signature.substr(0, signature.size() / 2)}) {
      EXPECT_EQ(Check(absl::StrCat(text, ".", Base64Url(wrong))), "wrong_signature") << kids[i];
    }
    std::string flipped = signature;
    flipped[5] = static_cast<char>(flipped[5] ^ 1);
    EXPECT_EQ(Check(absl::StrCat(text, ".", Base64Url(flipped))), "wrong_signature");
    EXPECT_EQ(Check(absl::StrCat(parts[0], ".", Base64Url(Claims(R"("admin": true)")), ".", parts[2])),
              "wrong_signature");
    EXPECT_EQ(
        Check(absl::StrCat(Base64Url(absl::StrCat(R"({"kid": ")", kids[i], R"(", "alg": ")", keys[i]->alg(), R"("})")),
                           ".", parts[1], ".", parts[2])),
        "wrong_signature");
  }
}

TEST(JsonWebTokens, ASignatureHasItsSize) {
  // The same two numbers, or the same one, in more bytes.
  const std::string zero(1, '\0');
  const std::string text = absl::StrCat(Base64Url(R"({"alg": "ES256", "kid": "p256"})"), ".", Base64Url(Claims()));
  const std::string pair = P256().Signature(text);
  EXPECT_EQ(Check(absl::StrCat(text, ".", Base64Url(pair.substr(0, 32) + zero + pair.substr(32)))), "wrong_signature");
  const std::string rsa = absl::StrCat(Base64Url(R"({"alg": "RS256", "kid": "rsa"})"), ".", Base64Url(Claims()));
  EXPECT_EQ(Check(absl::StrCat(rsa, ".", Base64Url(zero + Rsa().Signature(rsa)))), "wrong_signature");
}

TEST(JsonWebTokens, ASignatureInDerIsRefused) {
  // As OpenSSL writes it, and JOSE does not.
  const std::string text = absl::StrCat(Base64Url(R"({"alg": "ES256", "kid": "p256"})"), ".", Base64Url(Claims()));
  const std::string pair = P256().Signature(text);
  const std::string der =
      absl::StrCat(std::string("\x30\x44\x02\x20"), pair.substr(0, 32), "\x02\x20", pair.substr(32));
  EXPECT_EQ(Check(absl::StrCat(text, ".", Base64Url(der))), "wrong_signature");
}

TEST(JsonWebTokens, HaveOneTextOnly) {
  const std::string good = Ed25519().SignAs("ed", Claims());
  ASSERT_EQ(Check(good), "jwt:https://login.example#ada");
  const std::vector<std::string> parts = absl::StrSplit(good, '.');
  for (size_t i = 0; i < 3; ++i) {
    for (const char* tail : {"=", "==", " ", "\n", "\t", "+", "/", "!", "A", "\x80"}) {
      std::vector<std::string> changed = parts;
      changed[i] += tail;
      const std::string why = Check(absl::StrJoin(changed, "."));
      EXPECT_TRUE(why == "malformed" || why == "wrong_signature") << i << tail << why;
      changed[i] = tail + parts[i];
      EXPECT_NE(Check(absl::StrJoin(changed, ".")), "jwt:https://login.example#ada") << i << tail;
    }
  }
  // 64 bytes are 86 characters, and the last has 4 bits that no byte needs.
  ASSERT_EQ(parts[2].size(), 86U);
  const std::string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (size_t bits = 1; bits < 16; ++bits) {
    std::string other = good;
    other.back() = letters[letters.find(other.back()) + bits];
    EXPECT_EQ(Check(other), "malformed");
  }
}

TEST(JsonWebTokens, HaveThreeParts) {
  const std::string good = Ed25519().SignAs("ed", Claims());
  for (const std::string& token : {std::string(), std::string("."), std::string(".."), std::string("a.b.c"), good + ".",
                                   "." + good, good + ".AA.AA", good.substr(0, good.rfind('.'))}) {
    EXPECT_EQ(Check(token), "malformed") << token;
  }
}

TEST(JsonWebTokens, TheHeaderIsAnObject) {
  for (const char* header : {"", "{", "[]", "null", "7", R"("alg")", R"({"alg": "EdDSA", "kid": "ed"} x)",
                             R"({"alg": "EdDSA", "alg": "EdDSA", "kid": "ed"})",
                             R"({"alg": "EdDSA", "kid": "other", "kid": "ed"})", "{\"alg\": \"EdDSA\", \"\xFF\": 1}"}) {
    EXPECT_EQ(CheckHeader(header), "malformed") << header;
  }
}

TEST(JsonWebTokens, ExtensionsAndOtherTypesAreRefused) {
  EXPECT_EQ(CheckHeader(R"({"alg": "EdDSA", "kid": "ed", "crit": ["b64"], "b64": false})"), "malformed");
  EXPECT_EQ(CheckHeader(R"({"alg": "EdDSA", "kid": "ed", "crit": []})"), "malformed");
  for (const char* type : {R"("logout+jwt")", R"("dpop+jwt")", R"("JOSE")", R"("")", "7", "null"}) {
    EXPECT_EQ(CheckHeader(absl::StrCat(R"({"alg": "EdDSA", "kid": "ed", "typ": )", type, "}")), "malformed") << type;
  }
  for (const char* type : {"JWT", "jwt", "at+jwt", "application/at+jwt"}) {
    EXPECT_EQ(CheckHeader(absl::StrCat(R"({"alg": "EdDSA", "kid": "ed", "typ": ")", type, R"("})")),
              "jwt:https://login.example#ada");
  }
}

TEST(JsonWebTokens, ClaimsAreAnObject) {
  for (const std::string& claims :
       {std::string(), std::string("[]"), std::string("null"), std::string("\"a\""), Claims() + "}",
        "\xEF\xBB" + Claims(), Claims(R"("sub": "eve")"), Claims(R"("a": {"b": 1, "b": 2})"), Claims("\"a\": \"\xFF\""),
        Claims(R"("a": "\ud800")"), Claims("\"a\": \"\xC0\xAF\"")}) {
    EXPECT_EQ(CheckClaims(claims), "malformed") << claims;
  }
}

TEST(JsonWebTokens, BombsAreRefused) {
  const auto nested = [](int depth) {
    return Claims(absl::StrCat(R"("a": )", std::string(depth, '['), std::string(depth, ']')));
  };
  EXPECT_EQ(CheckClaims(nested(15)), "jwt:https://login.example#ada");
  EXPECT_EQ(CheckClaims(nested(16)), "malformed");
  EXPECT_EQ(CheckClaims(nested(2900)), "malformed");
  std::string open;
  for (int i = 0; i < 900; ++i) open += R"({"a":)";
  EXPECT_EQ(CheckClaims(open), "malformed");
  EXPECT_EQ(CheckHeader(open), "malformed");
}

TEST(JsonWebTokens, TheIssuerIsOurs) {
  for (const char* issuer : {R"("https://login.example/")", R"("HTTPS://login.example")", R"("https://evil.example")",
                             R"("")", R"(["https://login.example"])", "null", R"("https://login.example\u0000")"}) {
    EXPECT_EQ(CheckClaims(ClaimsWith(R"("https://login.example")", issuer)), "wrong_issuer") << issuer;
  }
  EXPECT_EQ(CheckClaims(ClaimsWith(R"("iss")", R"("issuer")")), "wrong_issuer");
}

TEST(JsonWebTokens, TheAudienceHasUs) {
  for (const char* audience : {R"(["crosskey"])", R"(["other", "crosskey"])"}) {
    EXPECT_EQ(CheckClaims(ClaimsWith(R"("crosskey")", audience)), "jwt:https://login.example#ada") << audience;
  }
  for (const char* audience : {R"("other")", R"("crosskey ")", R"("Crosskey")", R"([])", R"(["other"])", R"("")"}) {
    EXPECT_EQ(CheckClaims(ClaimsWith(R"("crosskey")", audience)), "wrong_audience") << audience;
  }
  for (const char* audience : {"7", "null", R"({"crosskey": 1})", R"(["crosskey", 7])", R"([["crosskey"]])"}) {
    EXPECT_EQ(CheckClaims(ClaimsWith(R"("crosskey")", audience)), "malformed") << audience;
  }
  EXPECT_EQ(CheckClaims(ClaimsWith(R"("aud")", R"("audience")")), "wrong_audience");
}

TEST(JsonWebTokens, TheSubjectIsAText) {
  for (const char* subject :
       {R"("")", "7", "null", R"(["ada"])", R"("a\u0000")", R"("a\nb")", R"("a\u007f")", R"("a\u0085")"}) {
    EXPECT_EQ(CheckClaims(ClaimsWith(R"("ada")", subject)), "malformed") << subject;
  }
  EXPECT_EQ(CheckClaims(ClaimsWith(R"("sub")", R"("subject")")), "malformed");
  EXPECT_EQ(CheckClaims(ClaimsWith(R"("ada")", R"("J\u00fcrgen \ud83d\ude00 #1")")),
            "jwt:https://login.example#J\xC3\xBCrgen \xF0\x9F\x98\x80 #1");
  EXPECT_EQ(CheckClaims(ClaimsWith("\"ada\"", absl::StrCat("\"", std::string(500, 'x'), "\""))),
            absl::StrCat("jwt:https://login.example#", std::string(500, 'x')));
  EXPECT_EQ(CheckClaims(ClaimsWith("\"ada\"", absl::StrCat("\"", std::string(501, 'x'), "\""))), "malformed");
}

TEST(JsonWebTokens, Expire) {
  EXPECT_EQ(CheckClaims(Claims(), kNow + absl::Milliseconds(599'999)), "jwt:https://login.example#ada");
  EXPECT_EQ(CheckClaims(Claims(), kNow + absl::Seconds(600)), "expired");
  EXPECT_EQ(CheckClaims(ClaimsWith(R"("exp": 1800000600)", R"("exp": 0)")), "expired");
  EXPECT_EQ(CheckClaims(ClaimsWith(R"("exp": 1800000600)", R"("exp": 1800000000.5)")), "expired") << "a part is cut";
  EXPECT_EQ(CheckClaims(ClaimsWith(R"("exp": 1800000600)", R"("exp": 1.8000006e9)")), "jwt:https://login.example#ada");
  EXPECT_EQ(CheckClaims(ClaimsWith(R"("exp": 1800000600)", R"("exp": 253402300799)")), "jwt:https://login.example#ada");
  for (const char* end : {R"("1800000600")", "-1", "1e300", "1e999", "253402300800", "18446744073709551616",
                          "99999999999999999999999999", "null", "true", "[1800000600]"}) {
    EXPECT_EQ(CheckClaims(ClaimsWith("1800000600", end)), "malformed") << end;
  }
  EXPECT_EQ(CheckClaims(ClaimsWith(R"("exp")", R"("expires")")), "malformed") << "it must end";
}

TEST(JsonWebTokens, BeginToBeValid) {
  for (const char* claim : {R"("nbf": 1800000000)", R"("iat": 1800000000)"}) {
    const std::string name = std::string(claim).substr(0, 7);
    EXPECT_EQ(CheckClaims(ClaimsWith(claim, name + "1800000060")), "jwt:https://login.example#ada") << claim;
    EXPECT_EQ(CheckClaims(ClaimsWith(claim, name + "1800000061")), "not_yet_valid") << claim;
    for (const char* begin : {R"("1800000000")", "-1", "1e300", "null"}) {
      EXPECT_EQ(CheckClaims(ClaimsWith(claim, name + begin)), "malformed") << claim << begin;
    }
  }
  EXPECT_EQ(CheckClaims(absl::StrCat("{", kParties, R"(, "exp": 1800000600})")), "jwt:https://login.example#ada");
}

TEST(JsonWebTokens, HaveALimit) {
  const auto with = [](size_t filler) {
    return Ed25519().SignAs("ed", Claims("\"a\": \"" + std::string(filler, 'x') + "\""));
  };
  size_t filler = 5000;
  while (with(filler + 1).size() <= access::kTokenBytes) ++filler;
  EXPECT_EQ(Check(with(filler)), "jwt:https://login.example#ada");
  EXPECT_EQ(Check(with(filler + 1)), "malformed");
}

// ---- Sets of keys

TEST(KeySet, NamesItsKeys) {
  const JsonWebTokens tokens = Of({Rsa().Jwk("a", R"("alg": "RS256", "key_ops": ["verify"], )"), P256().Jwk("b"),
                                   Ed25519().Jwk("c", R"("x5t": "unknown members do not matter", )")});
  std::vector<std::string> keys;
  for (const auto& key : tokens.keys()) keys.push_back(key.kid + " " + key.alg);
  EXPECT_THAT(keys, ElementsAre("a RS256", "b ES256", "c EdDSA"));
  EXPECT_THAT(tokens.unused(), ElementsAre());
}

TEST(KeySet, LeavesOutKeysForOtherPurposes) {
  const JsonWebTokens tokens =
      Of({Rsa().Jwk("a"), Rsa().Jwk("b", R"("use": "enc", )"), Rsa().Jwk("c", R"("alg": "PS256", )"),
          Rsa().Jwk("d", R"("key_ops": ["encrypt"], )"), R"({"kty": "EC", "crv": "P-384", "kid": "e"})",
          R"({"kty": "OKP", "crv": "X25519", "kid": "f"})", R"({"kty": "AKP", "kid": "g"})", "{}"});
  EXPECT_EQ(tokens.keys().size(), 1U);
  const std::string kind = "its kty and crv are not RSA, EC with P-256 or OKP with Ed25519";
  EXPECT_THAT(tokens.unused(), ElementsAre("keys[1]: its use is not sig", "keys[2]: its alg is not RS256",
                                           "keys[3]: its key_ops have no verify", "keys[4]: " + kind,
                                           "keys[5]: " + kind, "keys[6]: " + kind, "keys[7]: " + kind));
  for (const char* kid : {"b", "c", "d"}) EXPECT_EQ(Check(Rsa().SignAs(kid, Claims()), kNow, tokens), "unknown");
  EXPECT_EQ(ErrorOf(Set({Rsa().Jwk("b", R"("use": "enc", )")})),
            "keys: has none that can be used; keys[0]: its use is not sig");
}

TEST(KeySet, MayHaveNoSecrets) {
  EXPECT_EQ(ErrorOf(Set({R"({"kty": "oct", "k": "c2VjcmV0", "kid": "a"})"})),
            "keys[0]: is a secret: whoever can check with it can sign with it");
  for (const char* name : {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}) {
    for (const char* use : {"sig", "enc"}) {
      const std::string more = absl::StrCat(R"(")", name, R"(": "c2VjcmV0", "use": ")", use, R"(", )");
      EXPECT_EQ(ErrorOf(Set({P256().Jwk("a"), Rsa().Jwk("b", more)})),
                absl::StrCat("keys[1].", name, ": is a secret: the file may have public keys only"));
    }
  }
}

TEST(KeySet, ErrorsNameThePlace) {
  EXPECT_EQ(ErrorOf(""), "line 1: is not JSON");
  EXPECT_EQ(ErrorOf("[]"), "keys: is missing: this is no JSON Web Key Set");
  EXPECT_EQ(ErrorOf(Rsa().Pem()), "line 1: is not JSON");
  EXPECT_EQ(ErrorOf(Rsa().Jwk("a")), "keys: is missing: this is no JSON Web Key Set");
  EXPECT_EQ(ErrorOf(R"({"keys": {}})"), "keys: is not a list");
  EXPECT_EQ(ErrorOf(R"({"keys": []})"), "keys: has none that can be used");
  EXPECT_EQ(ErrorOf(R"({"keys": [7]})"), "keys[0]: is not an object");
  EXPECT_EQ(ErrorOf(Set({Rsa().Jwk("a"), P256().Jwk("a")})), "keys[1].kid: is also that of keys[0]");
  EXPECT_EQ(ErrorOf(Set({Rsa().Jwk(""), P256().Jwk("")})), "keys[1].kid: is also that of keys[0]");
  EXPECT_EQ(ErrorOf(Set({Rsa().Jwk("a"), P256().Jwk("")})), "keys[1].kid: is missing, and there are several keys");
  EXPECT_EQ(ErrorOf(Set({Rsa().Jwk("", R"("kid": 7, )")})), "keys[0].kid: is not a text");
  EXPECT_EQ(ErrorOf(Set({Rsa().Jwk(std::string(501, 'x'))})), "keys[0].kid: has more than 500 bytes");
  EXPECT_EQ(ErrorOf(R"({"keys": [{"kty": "RSA", "e": "AQAB"}]})"), "keys[0].n: is missing");
  EXPECT_EQ(ErrorOf(R"({"keys": [{"kty": "RSA", "n": "AQ==", "e": "AQAB"}]})"),
            "keys[0].n: is not base64url without padding");
  EXPECT_EQ(ErrorOf(R"({"keys": [{"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"}]})"),
            "keys[0].x: has 1 bytes, not 32");
  EXPECT_EQ(ErrorOf(R"({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AQ"}]})"), "keys[0].x: has 1 bytes, not 32");
  const std::string ones = Base64Url(std::string(32, '\1'));
  EXPECT_EQ(ErrorOf(absl::StrCat(R"({"keys": [{"kty": "EC", "crv": "P-256", "x": ")", ones, R"(", "y": "AQ"}]})")),
            "keys[0].y: has 1 bytes, not 32");
  EXPECT_EQ(
      ErrorOf(absl::StrCat(R"({"keys": [{"kty": "EC", "crv": "P-256", "x": ")", ones, R"(", "y": ")", ones, R"("}]})")),
      "keys[0]: is not a point of P-256");
}

TEST(KeySet, RsaKeysHaveTheirSize) {
  EXPECT_EQ(ErrorOf(Set({SigningKey::Rsa(1024).Jwk("a")})), "keys[0].n: has 1024 bits, not 2048 to 8192");
  const auto key = [](const std::string& n, const std::string& e) {
    return absl::StrCat(R"({"kty": "RSA", "kid": "a", "n": ")", Base64Url(n), R"(", "e": ")", Base64Url(e), R"("})");
  };
  const std::string zeros(128, '\0');
  EXPECT_EQ(ErrorOf(Set({key(zeros + std::string(128, '\xFF'), "\3")})), "keys[0].n: has 1024 bits, not 2048 to 8192");
  EXPECT_EQ(ErrorOf(Set({key(std::string(1025, '\xFF'), "\3")})), "keys[0].n: has 8200 bits, not 2048 to 8192");
  EXPECT_EQ(ErrorOf(Set({key(std::string(256, '\xFF'), std::string(9, '\3'))})), "keys[0].e: has more than 8 bytes");
  // With the exponent 1 every text would be its own signature.
  EXPECT_EQ(ErrorOf(Set({key(std::string(256, '\xFF'), "\1")})), "keys[0]: is not an RSA key");
}

TEST(KeySet, HasLimits) {
  const std::string set = Set({Rsa().Jwk("a")});
  EXPECT_TRUE(
      JsonWebTokens::Parse(set + std::string(access::kKeyFileBytes - set.size(), ' '), kIssuer, kAudience).ok());
  EXPECT_EQ(ErrorOf(set + std::string(access::kKeyFileBytes - set.size() + 1, ' ')), "has more than 262144 bytes");
  std::vector<std::string> keys = {Rsa().Jwk("a")};
  keys.resize(100, "{}");
  EXPECT_EQ(Of(keys).unused().size(), 99U);
  keys.resize(101, "{}");
  EXPECT_EQ(ErrorOf(Set(keys)), "keys: has more than 100 elements");
}

TEST(KeySet, TheIssuerCanBePartOfAPrincipal) {
  const auto error = [](const std::string& issuer, const std::string& audience) {
    return std::string(JsonWebTokens::Parse(Set({Rsa().Jwk("a")}), issuer, audience).status().message());
  };
  EXPECT_EQ(error("https://login.example#", "a"), "issuer: has a #");
  EXPECT_EQ(error("", "a"), "issuer: is empty");
  EXPECT_EQ(error("a\n", "a"), "issuer: has a control character");
  EXPECT_EQ(error(std::string(501, 'x'), "a"), "issuer: has more than 500 bytes");
  EXPECT_EQ(error("a", ""), "audience: is empty");
}

}  // namespace
}  // namespace crosskey::testing
