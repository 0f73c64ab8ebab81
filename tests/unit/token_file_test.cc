// access::TokenFile: which tokens are known, and what is refused as a file of tokens.
#include "common/access/token_file.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/support/why.h"

namespace crosskey::testing {
namespace {

using access::Digest;
using access::TokenFile;

const absl::Time kNow = absl::FromCivil(absl::CivilSecond(2026, 6, 1), absl::UTCTimeZone());
constexpr char kWeb[] = "dGhlIHRva2VuIG9mIHdlYg==";
constexpr char kBatch[] = "dGhlIHRva2VuIG9mIGJhdGNo";

std::string HashOf(const std::string& token) {
  const Digest digest = access::Sha256(token);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}
std::string Entry(const std::string& name, const std::string& token, const std::string& more = "") {
  return absl::StrCat(R"({"name": ")", name, R"(", "sha256": ")", HashOf(token), R"(")", more, "}");
}
std::string TokensOf(const std::vector<std::string>& entries) {
  return absl::StrCat(R"({"tokens": [)", absl::StrJoin(entries, ", "), "]}");
}
TokenFile Of(const std::vector<std::string>& entries) {
  auto file = TokenFile::Parse(TokensOf(entries));
  EXPECT_TRUE(file.ok()) << file.status();
  return *std::move(file);
}
// The principal, or why there is none.
std::string CheckToken(const TokenFile& file, const std::string& token, absl::Time now = kNow) {
  const auto found = file.Check(token, access::Sha256(token), now);
  return found.ok() ? (*found)->principal() : WhyOf(found);
}
std::string ErrorOf(const std::string& text) {
  const auto file = TokenFile::Parse(text);
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(file.status().message());
}
std::string ErrorOfEntry(const std::string& entry) { return ErrorOf(TokensOf({entry})); }

TEST(TokenFile, KnowsTokensByTheirHash) {
  const TokenFile file = Of({Entry("web", kWeb), Entry("batch-1.a_B", kBatch)});
  EXPECT_EQ(CheckToken(file, kWeb), "token:web");
  EXPECT_EQ(CheckToken(file, kBatch), "token:batch-1.a_B");
  EXPECT_EQ(CheckToken(file, absl::StrCat(kWeb, "=")), "unknown");
  EXPECT_EQ(CheckToken(file, HashOf(kWeb)), "unknown") << "a hash is no token";
  EXPECT_EQ(CheckToken(Of({}), kWeb), "unknown");
}

TEST(TokenFile, HashesAreWhatSha256sumPrints) {
  // printf %s 0123456789abcdefghij | sha256sum
  const std::string hash = "6bc14bdc4517a7a682c6910de2e2946eb8e1ecd04090728fef6d092a7ceb62c5";
  for (const std::string& text : {hash, absl::AsciiStrToUpper(hash)}) {
    const TokenFile file = Of({absl::StrCat(R"({"name": "a", "sha256": ")", text, R"("})")});
    EXPECT_EQ(CheckToken(file, "0123456789abcdefghij"), "token:a");
  }
}

TEST(TokenFile, ShortTokensAreUnknown) {
  const std::string shortest(20, 'x'), shorter(19, 'x');
  const TokenFile file = Of({Entry("a", shortest), Entry("b", shorter)});
  EXPECT_EQ(CheckToken(file, shortest), "token:a");
  EXPECT_EQ(CheckToken(file, shorter), "unknown");
}

TEST(TokenFile, TokensExpire) {
  const TokenFile file = Of({Entry("web", kWeb, R"(, "expires": "2026-06-01T02:00:01+02:00")")});
  EXPECT_EQ(CheckToken(file, kWeb, kNow), "token:web");
  EXPECT_EQ(CheckToken(file, kWeb, kNow + absl::Milliseconds(999)), "token:web");
  EXPECT_EQ(CheckToken(file, kWeb, kNow + absl::Seconds(1)), "expired");
}

TEST(TokenFile, ANameMayHaveSeveralTokens) {
  const TokenFile file = Of({Entry("web", kWeb, R"(, "expires": "2026-05-01T00:00:00Z")"), Entry("web", kBatch)});
  EXPECT_EQ(CheckToken(file, kWeb), "expired");
  EXPECT_EQ(CheckToken(file, kBatch), "token:web");
}

TEST(TokenFile, ErrorsNameThePlace) {
  EXPECT_EQ(ErrorOf("{"), "line 1: is not JSON");
  EXPECT_EQ(ErrorOf("[]"), "is not an object");
  EXPECT_EQ(ErrorOf("{}"), "tokens: is missing");
  EXPECT_EQ(ErrorOf(R"({"tokens": {}})"), "tokens: is not a list");
  EXPECT_EQ(ErrorOf(R"({"tokens": [], "more": 1})"), "more: is not one of tokens");
  EXPECT_EQ(ErrorOfEntry("7"), "tokens[0]: is not an object");
  EXPECT_EQ(ErrorOfEntry(R"({"sha256": "x"})"), "tokens[0].name: is missing");
  EXPECT_EQ(ErrorOfEntry(R"({"name": "a"})"), "tokens[0].sha256: is missing");
  EXPECT_EQ(ErrorOfEntry(Entry("a", kWeb, R"(, "expire": 1)")),
            "tokens[0].expire: is not one of name, sha256, expires");
  for (const char* name : {"a b", "a:b", "ä", "a#"}) {
    EXPECT_EQ(ErrorOfEntry(Entry(name, kWeb)),
              "tokens[0].name: has a character that is not of A-Z, a-z, 0-9, '.', '_', '-'");
  }
  EXPECT_EQ(ErrorOfEntry(Entry("", kWeb)), "tokens[0].name: is empty");
  for (const std::string& hash : {std::string("abc"), std::string(63, 'a'), std::string(64, 'g')}) {
    EXPECT_EQ(ErrorOfEntry(absl::StrCat(R"({"name": "a", "sha256": ")", hash, R"("})")),
              "tokens[0].sha256: is not 64 hexadecimal digits");
  }
  EXPECT_EQ(ErrorOfEntry(absl::StrCat(R"({"name": "a", "sha256": ")", std::string(65, 'a'), R"("})")),
            "tokens[0].sha256: has more than 64 bytes");
  for (const char* time :
       {"tomorrow", "2027-01-01", "2027-01-01T00:00:00", "infinite-future", "2027-13-01T00:00:00Z"}) {
    EXPECT_EQ(ErrorOfEntry(Entry("a", kWeb, absl::StrCat(R"(, "expires": ")", time, R"(")"))),
              "tokens[0].expires: is not a time such as 2027-01-01T00:00:00Z")
        << time;
  }
  EXPECT_EQ(ErrorOfEntry(Entry("a", kWeb, R"(, "expires": null)")), "tokens[0].expires: is not a text");
  EXPECT_EQ(ErrorOf(TokensOf({Entry("a", kWeb), Entry("b", kBatch), Entry("c", kWeb)})),
            "tokens[2].sha256: is also that of tokens[0]");
}

TEST(TokenFile, HasLimits) {
  const std::string empty = R"({"tokens": []})";
  EXPECT_TRUE(TokenFile::Parse(empty + std::string(access::kTokenFileBytes - empty.size(), ' ')).ok());
  EXPECT_EQ(ErrorOf(empty + std::string(access::kTokenFileBytes - empty.size() + 1, ' ')),
            "has more than 1048576 bytes");
  EXPECT_TRUE(TokenFile::Parse(TokensOf({Entry(std::string(100, 'x'), kWeb)})).ok());
  EXPECT_EQ(ErrorOfEntry(Entry(std::string(101, 'x'), kWeb)), "tokens[0].name: has more than 100 bytes");

  std::vector<std::string> entries;
  for (int i = 0; i < access::kTokens; ++i) entries.push_back(Entry("a", absl::StrCat(kWeb, i)));
  EXPECT_EQ(Of(entries).tokens().size(), 10'000U);
  entries.push_back(Entry("a", kWeb));
  EXPECT_EQ(ErrorOf(TokensOf(entries)), "tokens: has more than 10000 elements");
}

TEST(TokenFile, ErrorsTellNothingOfTheText) {
  EXPECT_EQ(ErrorOf(absl::StrCat(R"({"tokens": [{"name": "a", ")", kWeb, R"(": 1}]})")),
            "tokens[0].?: is not one of name, sha256, expires");
}

}  // namespace
}  // namespace crosskey::testing
