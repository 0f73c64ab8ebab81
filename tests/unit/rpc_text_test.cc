#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "common/rpc/text.h"
#include "google/rpc/error_details.pb.h"
#include "tests/support/status_matchers.h"

namespace crosskey::rpc {
namespace {

std::string Times(int count, const std::string& text) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

struct Case {
  std::string text;
  bool good;
};

void Check(const TextRule& rule, const std::vector<Case>& cases) {
  for (const auto& [text, good] : cases) {
    FieldErrors errors;
    CheckText("field", text, rule, errors);
    EXPECT_EQ(errors.status().ok(), good) << absl::CEscape(text) << ": " << errors.status();
  }
}

TEST(Text, CodePointsAreCountedAndNotBytes) {
  const TextRule rule{1, 3, 0, false, false};
  for (const std::string character : {"a", "é", "€", "\U0001F600", "\U0010ffff"}) {
    Check(rule, {{Times(1, character), true}, {Times(3, character), true}, {Times(4, character), false}});
  }
  Check(rule, {{"", false}, {"aé€", true}, {"aé€\U0001F600", false}});
  Check({0, 0, 0, false, false}, {{"", true}, {Times(10'000, "a"), true}});
}

TEST(Text, BytesAreCountedWhereTheRuleSaysSo) {
  Check({0, 0, 6, true, false}, {{"", true}, {"abcdef", true}, {"abcdefg", false}, {"ééé", true}, {"éééa", false}});
}

TEST(Text, NulIsNeverAllowed) {
  const std::string nul("a\0b", 3);
  Check({0, 0, 0, true, false}, {{nul, false}, {std::string(1, '\0'), false}, {"a\\0b", true}});
  Check({0, 0, 0, false, false}, {{nul, false}});
}

TEST(Text, ControlCharactersAreThoseOfTheCategoryCc) {
  std::vector<Case> cases;
  for (int c = 1; c < 0x20; ++c) cases.push_back({std::string(1, static_cast<char>(c)), false});
  for (int c = 0x20; c < 0x7f; ++c) cases.push_back({std::string(1, static_cast<char>(c)), true});
  cases.push_back({"\x7f", false});
  for (int c = 0x80; c <= 0x9f; ++c) cases.push_back({std::string("\xc2") + static_cast<char>(c), false});
  for (const char* text : {"\u00a0", "\u00ad", "\u200b", "\u200e", "\u2028", "\ufeff", "\uffff", "\U000e0001"}) {
    cases.push_back({text, true});
  }
  Check({0, 0, 0, false, false}, cases);
  for (Case& c : cases) c.good = true;
  Check({0, 0, 0, true, false}, cases);
}

TEST(Text, TrimmedIsAboutEveryWhiteSpaceOfUnicode) {
  const TextRule rule{0, 0, 0, true, true};
  for (const std::string space :
       {"\t",     "\n",     "\v",     "\f",     "\r",     " ",      "\u0085", "\u00a0", "\u1680",
        "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008",
        "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"}) {
    Check(rule, {{space + "a", false}, {"a" + space, false}, {space, false}, {"a" + space + "a", true}});
    Check({0, 0, 0, true, false}, {{space + "a" + space, true}});
  }
  Check(rule, {{"", true}, {"\u200ba\u200b", true}, {"\u180ea", true}, {"\ufeffa", true}, {"\u2060", true}});
}

TEST(Text, ATextIsBlamedOnce) {
  FieldErrors errors;
  CheckText("title", Times(10, " \t") + std::string(1, '\0'), {1, 3, 5, false, true}, errors);
  const absl::Status status = errors.status();
  google::rpc::BadRequest details;
  ASSERT_TRUE(details.ParseFromString(std::string(*status.GetPayload("type.googleapis.com/google.rpc.BadRequest"))));
  ASSERT_EQ(details.field_violations_size(), 1);
  EXPECT_EQ(details.field_violations(0).field(), "title");
}

}  // namespace
}  // namespace crosskey::rpc
