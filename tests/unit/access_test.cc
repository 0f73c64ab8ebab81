// access::Access: who a caller is, and what it may do; and access::CheckFiles.
#include "common/access/access.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/access/digest.h"
#include "common/access/json_web_token.h"
#include "tests/support/signing_key.h"
#include "tests/support/why.h"

namespace crosskey::testing {
namespace {

using access::Access;
using access::Options;
using access::Presented;
using ::testing::HasSubstr;

constexpr char kGet[] = "/user.v1.UserService/GetUser";
constexpr char kCreate[] = "/post.v1.PostService/CreatePost";
constexpr char kDelete[] = "/user.v1.UserService/DeleteUser";
constexpr char kWeb[] = "dGhlIHRva2VuIG9mIHdlYg==";
constexpr char kBatch[] = "dGhlIHRva2VuIG9mIGJhdGNo";

std::string HashOf(const std::string& token) {
  const access::Digest digest = access::Sha256(token);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

Presented Nothing() { return {}; }
Presented Header(const std::string& header) {
  static std::string kept;
  kept = header;
  Presented presented;
  presented.authorizations = 1;
  presented.authorization = kept;
  return presented;
}
Presented Bearer(const std::string& token) { return Header("Bearer " + token); }
Presented Certificate(const std::vector<std::string>& uris, const std::vector<std::string>& dns = {}) {
  Presented presented;
  presented.has_certificate = true;
  presented.uris = uris;
  presented.dns = dns;
  return presented;
}

class AccessTest : public ::testing::Test {
 protected:
  AccessTest() { std::filesystem::create_directories(folder_); }
  ~AccessTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  std::string Write(const std::string& name, const std::string& content) const {
    std::ofstream(Path("new"), std::ios::binary) << content;
    std::filesystem::rename(Path("new"), Path(name));
    return Path(name);
  }
  void WritePolicy(const std::string& members) {
    options_.policy = Write("policy", absl::StrCat(R"({"name": "test", )", members, "}"));
  }
  void WriteTokens(const std::string& tokens) {
    options_.tokens = Write("tokens", absl::StrCat(R"({"tokens": [)", tokens, "]}"));
  }
  static std::string Token(const std::string& name, const std::string& token, const std::string& more = "") {
    return absl::StrCat(R"({"name": ")", name, R"(", "sha256": ")", HashOf(token), R"(")", more, "}");
  }
  void WriteKeys(const SigningKey& key) {
    options_.jwt_keys = Write("keys", absl::StrCat(R"({"keys": [)", key.Jwk("a"), "]}"));
    options_.jwt_issuer = "https://login";
    options_.jwt_audience = "crosskey";
  }
  std::string Jwt(const SigningKey& key, const std::string& subject, const std::string& more = "") const {
    return key.SignAs("a", absl::StrCat(R"({"iss": "https://login", "aud": "crosskey", "exp": )",
                                        absl::ToUnixSeconds(now_) + 600, R"(, "sub": ")", subject, R"(")", more, "}"));
  }

  void Load() {
    auto access = Access::Load(options_, metrics_, [this] { return now_; });
    ASSERT_TRUE(access.ok()) << access.status();
    access_ = *std::move(access);
  }
  std::string LoadError() {
    const auto access = Access::Load(options_, metrics_, [this] { return now_; });
    EXPECT_EQ(access.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(access.status().message());
  }
  Caller Who(const Presented& presented) {
    const auto identity = access_->Authenticate(presented);
    EXPECT_TRUE(identity.ok()) << identity.status();
    return identity.ok() ? **identity : Caller{"?", -1, false};
  }
  // The principal, or why there is none.
  std::string Principal(const Presented& presented) {
    const auto identity = access_->Authenticate(presented);
    if (identity.ok()) return (*identity)->principal;
    EXPECT_EQ(identity.status().code(), absl::StatusCode::kUnauthenticated);
    return "why: " + WhyOf(identity);
  }
  std::string May(const Caller& identity, const std::string& path) {
    const absl::Status status = access_->Authorize(identity, path);
    return status.ok() ? "yes" : absl::StrCat(absl::StatusCodeToString(status.code()), " ", WhyOf(status));
  }

  const std::string folder_ = ::testing::TempDir() + "access_test_" + std::to_string(getpid());
  const SigningKey key_ = SigningKey::Ed25519();
  telemetry::Metrics metrics_{"test", "0"};
  absl::Time now_ = absl::FromUnixSeconds(1'800'000'000);
  Options options_;
  std::unique_ptr<Access> access_;
};

TEST_F(AccessTest, WithoutFilesEverybodyMayDoEverything) {
  Load();
  EXPECT_EQ(Principal(Nothing()), "");
  EXPECT_EQ(Principal(Bearer("whatever")), "") << "nothing could prove it";
  EXPECT_EQ(Principal(Certificate({"spiffe://blog/web"})), "spiffe://blog/web");
  EXPECT_EQ(May({}, kCreate), "yes");
}

TEST_F(AccessTest, ACertificateIsItsOnlyName) {
  Load();
  EXPECT_EQ(Principal(Certificate({"spiffe://blog/web"}, {"web.blog", "www.blog"})), "spiffe://blog/web");
  EXPECT_EQ(Principal(Certificate({}, {"web.blog"})), "web.blog");
  EXPECT_EQ(Principal(Certificate({})), "");
  EXPECT_EQ(Principal(Certificate({"spiffe://blog/web", "spiffe://blog/web"})), "why: ambiguous");
  EXPECT_EQ(Principal(Certificate({}, {"web.blog", "www.blog"})), "why: ambiguous");
  Presented unverified = Certificate({"spiffe://blog/web"});
  unverified.has_certificate = false;
  EXPECT_EQ(Principal(unverified), "");
}

TEST_F(AccessTest, ACertificateCannotHaveTheNameOfAToken) {
  Load();
  EXPECT_EQ(Principal(Certificate({"token:web"})), "why: malformed");
  EXPECT_EQ(Principal(Certificate({"jwt:https://login#ada"})), "why: malformed");
  EXPECT_EQ(Principal(Certificate({}, {"token:web"})), "why: malformed");
}

TEST_F(AccessTest, ACertificateHasNamesOfItsKind) {
  Load();
  for (const std::string& end :
       {std::string("\n"), std::string("\0", 1), std::string(" "), std::string("\xC3\xA4"), std::string("\x7F")}) {
    EXPECT_EQ(Principal(Certificate({"spiffe://blog/web" + end})), "why: malformed") << end;
    EXPECT_EQ(Principal(Certificate({}, {"web.blog" + end})), "why: malformed") << end;
  }
  EXPECT_EQ(Principal(Certificate({"web.blog"})), "why: malformed") << "a URI has a scheme";
  EXPECT_EQ(Principal(Certificate({}, {"spiffe://blog/web"})), "why: malformed") << "a DNS name has no colon";
  EXPECT_EQ(Principal(Certificate({""})), "why: malformed");
  EXPECT_EQ(Principal(Certificate({}, {""})), "why: malformed");
  const std::string longest = "a:" + std::string(498, 'x');
  EXPECT_EQ(Principal(Certificate({longest})), longest);
  EXPECT_EQ(Principal(Certificate({longest + "x"})), "why: malformed");
}

TEST_F(AccessTest, ATokenOfTheFileIsItsName) {
  WriteTokens(Token("web", kWeb));
  Load();
  for (const char* scheme : {"Bearer ", "bearer ", "BEARER ", "Bearer   "}) {
    EXPECT_EQ(Principal(Header(absl::StrCat(scheme, kWeb))), "token:web") << scheme;
  }
  EXPECT_EQ(Principal(Bearer(kBatch)), "why: unknown");
  EXPECT_EQ(Principal(Nothing()), "");
}

TEST_F(AccessTest, OtherHeadersAreMalformed) {
  WriteTokens(Token("web", kWeb));
  Load();
  for (const std::string& header :
       {std::string(), std::string("Bearer"), std::string("Bearer "), std::string("Basic YTpi"), std::string(kWeb),
        absl::StrCat("Bearer", kWeb), absl::StrCat("Bearer\t", kWeb), absl::StrCat(" Bearer ", kWeb),
        absl::StrCat("Bearer ", kWeb, " "), absl::StrCat("Bearer ", kWeb, ","), absl::StrCat("Bearer ", kWeb, "\n"),
        absl::StrCat("Bearer ", kWeb, std::string(1, '\0')), absl::StrCat("Bearer \"", kWeb, "\"")}) {
    EXPECT_EQ(Principal(Header(header)), "why: malformed") << header;
  }
  EXPECT_EQ(Principal(Bearer(std::string(access::kTokenBytes, 'x'))), "why: unknown");
  EXPECT_EQ(Principal(Bearer(std::string(access::kTokenBytes + 1, 'x'))), "why: malformed");
  Presented two = Bearer(kWeb);
  two.authorizations = 2;
  EXPECT_EQ(Principal(two), "why: malformed");
}

TEST_F(AccessTest, AHeaderCountsBeforeACertificate) {
  WriteTokens(Token("web", kWeb));
  Load();
  Presented both = Bearer(kWeb);
  both.has_certificate = true;
  both.uris = {"spiffe://blog/web"};
  EXPECT_EQ(Principal(both), "token:web");
  both.authorization = "Bearer wrong";
  EXPECT_EQ(Principal(both), "why: unknown") << "a good certificate makes up for no bad header";
}

TEST_F(AccessTest, AHeaderIsUnknownIfThereIsOnlyAPolicy) {
  WritePolicy(R"("allow_rules": [])");
  Load();
  EXPECT_EQ(Principal(Bearer(kWeb)), "why: unknown");
}

TEST_F(AccessTest, AJsonWebTokenIsItsIssuerAndSubject) {
  WriteKeys(key_);
  Load();
  EXPECT_EQ(Principal(Bearer(Jwt(key_, "ada"))), "jwt:https://login#ada");
  EXPECT_EQ(Principal(Bearer(Jwt(SigningKey::Ed25519(), "ada"))), "why: wrong_signature");
  EXPECT_EQ(Principal(Bearer("no.jwt")), "why: malformed");
}

TEST_F(AccessTest, TokensOfBothKindsAreKnown) {
  WriteTokens(absl::StrCat(Token("web", kWeb), ", ", Token("dots", "two.dots.are.in.this"), ", ",
                           Token("three", "a.token-that-looks.like-one")));
  WriteKeys(key_);
  Load();
  EXPECT_EQ(Principal(Bearer(kWeb)), "token:web");
  EXPECT_EQ(Principal(Bearer("a.token-that-looks.like-one")), "token:three");
  EXPECT_EQ(Principal(Bearer(Jwt(key_, "ada"))), "jwt:https://login#ada");
  EXPECT_EQ(Principal(Bearer(kBatch)), "why: unknown");
  EXPECT_EQ(Principal(Bearer("a.token-that-is.not-there")), "why: malformed");
}

TEST_F(AccessTest, TokensExpireAlsoIfTheyHaveBeenGood) {
  WriteTokens(Token("web", kWeb, R"(, "expires": "2027-01-15T08:10:00Z")"));  // in 600 s
  WriteKeys(key_);
  Load();
  const std::string jwt = Jwt(key_, "ada");
  EXPECT_EQ(Principal(Bearer(kWeb)), "token:web");
  EXPECT_EQ(Principal(Bearer(jwt)), "jwt:https://login#ada");
  now_ += absl::Seconds(599);
  EXPECT_EQ(Principal(Bearer(kWeb)), "token:web");
  EXPECT_EQ(Principal(Bearer(jwt)), "jwt:https://login#ada");
  now_ += absl::Seconds(1);
  EXPECT_EQ(Principal(Bearer(kWeb)), "why: expired");
  EXPECT_EQ(Principal(Bearer(jwt)), "why: expired");
}

TEST_F(AccessTest, GoodTokensAreNotCheckedAgain) {
  WriteKeys(key_);
  Load();
  const std::string jwt = Jwt(key_, "ada");
  const auto first = access_->Authenticate(Bearer(jwt)), second = access_->Authenticate(Bearer(jwt));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->get(), second->get());
}

TEST_F(AccessTest, TakesChangedFiles) {
  WritePolicy(R"("allow_rules": [], "owners": [{"principals": ["*"], "user_id": 1}])");
  WriteTokens(Token("web", kWeb));
  WriteKeys(key_);
  Load();
  const std::string jwt = Jwt(key_, "ada");
  EXPECT_EQ(Who(Bearer(kWeb)).user, 1);
  EXPECT_EQ(Who(Bearer(jwt)).user, 1);
  EXPECT_EQ(May({"token:web"}, kGet), "PERMISSION_DENIED policy");

  WritePolicy(R"("allow_rules": [{"name": "a"}], "owners": [{"principals": ["*"], "user_id": 2}])");
  EXPECT_EQ(Who(Bearer(kWeb)).user, 1) << "nobody has looked";
  access_->Look();
  EXPECT_EQ(Who(Bearer(kWeb)).user, 2);
  EXPECT_EQ(Who(Bearer(jwt)).user, 2);
  EXPECT_EQ(May({"token:web"}, kGet), "yes");

  WriteTokens(Token("batch", kBatch));
  access_->Look();
  EXPECT_EQ(Principal(Bearer(kWeb)), "why: unknown") << "a token that is taken away is good no longer";
  EXPECT_EQ(Principal(Bearer(kBatch)), "token:batch");

  WriteKeys(SigningKey::Ed25519());
  access_->Look();
  EXPECT_EQ(Principal(Bearer(jwt)), "why: wrong_signature") << "nor is one of a key that is taken away";
}

TEST_F(AccessTest, KeepsWhatItHasIfAFileIsNoGood) {
  WritePolicy(R"("allow_rules": [{"name": "a"}])");
  WriteTokens(Token("web", kWeb));
  Load();
  WritePolicy(R"("allow_rules": 7)");
  WriteTokens("7");
  access_->Look();
  EXPECT_EQ(Principal(Bearer(kWeb)), "token:web");
  EXPECT_EQ(May({"token:web"}, kGet), "yes");
  EXPECT_EQ(metrics_.Gauge("crosskey_credentials_problem", "", {{"file", "policy"}}).Value(), 1);
  EXPECT_EQ(metrics_.Gauge("crosskey_credentials_problem", "", {{"file", "tokens"}}).Value(), 1);
}

TEST_F(AccessTest, OwnersMayWriteInOneNameOnly) {
  WritePolicy(R"("allow_rules": [{"name": "a"}],
                 "owners": [{"principals": ["token:web", "spiffe://blog/ada"], "user_id": 7},
                            {"principals": ["jwt:https://login#*"], "claim": "user"}])");
  WriteTokens(absl::StrCat(Token("web", kWeb), ", ", Token("batch", kBatch)));
  WriteKeys(key_);
  Load();
  EXPECT_EQ(Who(Bearer(kWeb)).user, 7);
  EXPECT_EQ(Who(Bearer(kBatch)).user, 0);
  EXPECT_EQ(Who(Certificate({"spiffe://blog/ada"})).user, 7);
  EXPECT_EQ(Who(Certificate({"spiffe://blog/web"})).user, 0);
  for (const char* user : {R"("8")", "8"}) {
    const Caller identity = Who(Bearer(Jwt(key_, "ada", absl::StrCat(R"(, "user": )", user))));
    EXPECT_EQ(identity.user, 8);
    EXPECT_TRUE(identity.may_write);
    EXPECT_EQ(May(identity, kCreate), "yes");
  }
  for (const char* claims : {"", R"(, "user": "ada")", R"(, "user": 0)", R"(, "user": -1)", R"(, "user": null)",
                             R"(, "user": 8.5)", R"(, "users": 8)"}) {
    const Caller identity = Who(Bearer(Jwt(key_, "ada", claims)));
    EXPECT_FALSE(identity.may_write) << claims;
    EXPECT_EQ(May(identity, kGet), "yes");
    EXPECT_EQ(May(identity, "/grpc.health.v1.Health/Check"), "yes");
    EXPECT_EQ(May(identity, kCreate), "PERMISSION_DENIED owner");
    EXPECT_EQ(May(identity, kDelete), "PERMISSION_DENIED owner");
    EXPECT_EQ(May(identity, "/x"), "PERMISSION_DENIED owner");
  }
}

TEST_F(AccessTest, NobodyIsToldToSayWhoItIs) {
  WritePolicy(R"("allow_rules": [{"name": "a", "source": {"principals": ["token:web"]},
                                  "request": {"roles": ["reader"]}}])");
  Load();
  EXPECT_EQ(May({}, kGet), "UNAUTHENTICATED no_credentials");
  EXPECT_EQ(May({"token:web"}, kGet), "yes");
  EXPECT_EQ(May({"token:web"}, kCreate), "PERMISSION_DENIED policy");
  EXPECT_EQ(May({}, "/grpc.health.v1.Health/Check"), "yes");
}

TEST_F(AccessTest, FilesThatAreNoGoodAreNamed) {
  options_.policy = Path("policy");
  EXPECT_EQ(LoadError(), Path("policy") + ": cannot be read: No such file or directory");
  WritePolicy(R"("allow_rules": [{"name": "a", "source": {"principals": [""]}}])");
  EXPECT_EQ(LoadError(), Path("policy") + ": allow_rules[0].source.principals[0]: is empty");
  options_.policy = "";
  WriteTokens("7");
  EXPECT_EQ(LoadError(), Path("tokens") + ": tokens[0]: is not an object");
  options_.tokens = "";
  WriteKeys(key_);
  Write("keys", "{}");
  EXPECT_EQ(LoadError(), Path("keys") + ": keys: is missing: this is no JSON Web Key Set");
  Write("keys", std::string(access::kKeyFileBytes + 1, ' '));
  EXPECT_EQ(LoadError(), Path("keys") + ": has more than 262144 bytes");
}

TEST_F(AccessTest, OptionsOfJsonWebTokensGoTogether) {
  WriteKeys(key_);
  const Options all = options_;
  for (std::string Options::*one : {&Options::jwt_keys, &Options::jwt_issuer, &Options::jwt_audience}) {
    options_ = all;
    options_.*one = "";
    EXPECT_EQ(LoadError(), "JSON Web Tokens need keys, issuer and audience, and not all three are given");
  }
  options_ = all;
  options_.jwt_issuer = "a#b";
  EXPECT_EQ(LoadError(), "issuer: has a #");
}

TEST_F(AccessTest, MayBeAskedWhileFilesChange) {
  WriteTokens(Token("web", kWeb));
  WriteKeys(key_);
  Load();
  const std::string header = "Bearer " + Jwt(key_, "ada");
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      Presented presented;
      presented.authorizations = 1;
      presented.authorization = header;
      while (!stop) {
        const auto identity = access_->Authenticate(presented);
        EXPECT_TRUE(identity.ok());
        EXPECT_TRUE(access_->Authorize(**identity, kGet).ok());
      }
    });
  }
  for (int i = 0; i < 50; ++i) {
    WriteTokens(Token(absl::StrCat("web", i), kWeb));
    access_->Look();
    EXPECT_EQ(Principal(Bearer(kWeb)), absl::StrCat("token:web", i));
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

TEST(Verified, HoldsSoManyAndThoseFoundLast) {
  access::Verified verified;
  const auto digest = [](size_t i) { return access::Sha256(std::to_string(i)); };
  const auto identity = std::make_shared<const Caller>();
  constexpr size_t kMany = 3 * access::kVerifiedTokens;
  for (size_t i = 0; i < kMany; ++i) {
    verified.Keep(digest(i), {identity, absl::InfiniteFuture()});
    EXPECT_TRUE(verified.Find(digest(0)).has_value()) << "it is found all the time, and stays";
  }
  EXPECT_LE(identity.use_count(), static_cast<long>(access::kVerifiedTokens) + 2);
  EXPECT_GE(identity.use_count(), static_cast<long>(access::kVerifiedTokens) / 2);
  EXPECT_TRUE(verified.Find(digest(kMany - 1)).has_value());
  EXPECT_FALSE(verified.Find(digest(1)).has_value());
}

// The examples of the README, in their order.
std::vector<std::string> Examples() {
  std::ifstream file(std::string(CROSSKEY_SOURCE_DIR) + "/common/access/README.md");
  std::vector<std::string> examples;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line == "```json") examples.emplace_back();
    if (inside && line != "```") examples.back() += line + "\n";
    inside = line == "```json" || (inside && line != "```");
  }
  return examples;
}

TEST_F(AccessTest, TheExamplesOfTheReadmeAreGood) {
  const std::vector<std::string> examples = Examples();
  ASSERT_EQ(examples.size(), 2U);
  options_.tokens = Write("tokens", examples[0]);
  options_.policy = Write("policy", examples[1]);
  WriteKeys(key_);
  Load();
  EXPECT_EQ(May({}, "/post.v1.PostService/GetPost"), "yes");
  EXPECT_EQ(May({}, kGet), "UNAUTHENTICATED no_credentials");
  EXPECT_EQ(May({"spiffe://blog/web"}, kCreate), "yes");
  EXPECT_EQ(May({"spiffe://blog/web"}, kDelete), "PERMISSION_DENIED policy");
  EXPECT_EQ(May({"spiffe://blog/ops/ada"}, kDelete), "yes");
}

TEST_F(AccessTest, CheckFilesListsWhatTheyHave) {
  WritePolicy(R"("deny_rules": [{"name": "frozen"}], "allow_rules": [{"name": "web"}, {"name": "batch"}],
                 "owners": [{"principals": ["token:ada"], "user_id": 1}])");
  WriteTokens(absl::StrCat(Token("web", kWeb, R"(, "expires": "2027-02-01T00:00:00Z")"), ", ",
                           Token("old", "an old token, long expired", R"(, "expires": "2020-02-01T00:00:00Z")"), ", ",
                           Token("batch", kBatch)));
  WriteKeys(key_);
  Write("keys", absl::StrCat(R"({"keys": [)", key_.Jwk("a"), R"(, {"kty": "AKP"}]})"));
  std::string summary;
  const absl::Status checked = access::CheckFiles(options_, now_, &summary);
  EXPECT_TRUE(checked.ok()) << checked;
  EXPECT_EQ(summary,
            "policy test\n  denies: frozen\n  allows: web\n  allows: batch\n  owners: 1\n"
            "tokens 3\n  web, until 2027-02-01T00:00:00+00:00\n  old, expired 2020-02-01T00:00:00+00:00\n  batch\n"
            "keys 1\n  a EdDSA\n"
            "  not used: keys[1]: its kty and crv are not RSA, EC with P-256 or OKP with Ed25519\n");
}

TEST_F(AccessTest, CheckFilesNamesEachFileThatIsWrong) {
  WritePolicy(R"("allow_rules": 7)");
  WriteTokens("7");
  options_.jwt_keys = Path("keys");
  std::string summary;
  const absl::Status checked = access::CheckFiles(options_, now_, &summary);
  EXPECT_EQ(checked.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      checked.message(),
      absl::StrCat("JSON Web Tokens need keys, issuer and audience, and not all three are given\n", Path("policy"),
                   ": allow_rules: is not a list\n", Path("tokens"), ": tokens[0]: is not an object"));
  options_.jwt_issuer = "a";
  options_.jwt_audience = "b";
  EXPECT_THAT(std::string(access::CheckFiles(options_, now_, &summary).message()),
              HasSubstr(Path("keys") + ": cannot be read: No such file or directory"));
  EXPECT_TRUE(access::CheckFiles({}, now_, &summary).ok());
}

}  // namespace
}  // namespace crosskey::testing
