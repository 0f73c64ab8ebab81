#include "common/telemetry/log.h"

#include <cstdint>
#include <limits>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace crosskey::log {
namespace {

using nlohmann::json;

std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

template <typename Function>
std::string Captured(Function function) {
  ::testing::internal::CaptureStderr();
  function();
  return ::testing::internal::GetCapturedStderr();
}

// The entry that Info writes as text, without time, level and the end of the line.
std::string Text(std::string_view message, std::initializer_list<Field> fields = {}) {
  log::Setup(Level::kInfo, Format::kText, "test-service");
  const std::string line = Captured([&] { Info(message, fields); });
  EXPECT_EQ(Lines(line).size(), 1u) << line;
  EXPECT_EQ(line.back(), '\n');
  const std::string level = "Z info ";
  const size_t at = line.find(level);
  return line.substr(at + level.size(), line.size() - at - level.size() - 1);
}

json Json(std::string_view message, std::initializer_list<Field> fields = {}) {
  log::Setup(Level::kInfo, Format::kJson, "test-service");
  const std::string line = Captured([&] { Info(message, fields); });
  EXPECT_EQ(Lines(line).size(), 1u) << line;
  return json::parse(line);
}

void ExpectTimeIsNow(const std::string& text) {
  ASSERT_EQ(text.size(), std::string("2026-01-31T12:00:00.000Z").size()) << text;
  EXPECT_EQ(text[19], '.');
  EXPECT_EQ(text.back(), 'Z');
  absl::Time time;
  std::string error;
  ASSERT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &time, &error)) << error;
  EXPECT_LT(absl::AbsDuration(absl::Now() - time), absl::Minutes(1));
}

TEST(LogText, HasTimeLevelMessageAndFieldsInOrder) {
  log::Setup(Level::kInfo, Format::kText, "test-service");
  const std::string line = Captured([] { Warning("user created", {{"b", 2}, {"a", "one"}}); });
  ExpectTimeIsNow(line.substr(0, line.find(' ')));
  EXPECT_EQ(line.substr(line.find(' ')), " warning user created b=2 a=one\n");
}

TEST(LogText, WritesEveryKindOfValue) {
  const std::string text = "text";
  EXPECT_EQ(Text("m", {{"v", std::numeric_limits<std::int64_t>::min()}}), "m v=-9223372036854775808");
  EXPECT_EQ(Text("m", {{"v", std::numeric_limits<std::uint64_t>::max()}}), "m v=18446744073709551615");
  EXPECT_EQ(Text("m", {{"v", static_cast<unsigned short>(7)}}), "m v=7");
  EXPECT_EQ(Text("m", {{"v", 1.5}}), "m v=1.5");
  EXPECT_EQ(Text("m", {{"v", true}}), "m v=true");
  EXPECT_EQ(Text("m", {{"v", "literal"}}), "m v=literal");
  EXPECT_EQ(Text("m", {{"v", text}}), "m v=text");
  EXPECT_EQ(Text("m", {{"v", std::string("temporary")}}), "m v=temporary");
  EXPECT_EQ(Text("m", {{"v", std::string_view(text).substr(1)}}), "m v=ext");
  EXPECT_EQ(Text("m", {{"v", absl::string_view("status text")}}), R"(m v="status text")");
  EXPECT_EQ(Text("m", {{"v", static_cast<const char*>(nullptr)}}), R"(m v="")");
}

TEST(LogText, QuotesWhatIsNotOneBareWord) {
  EXPECT_EQ(Text("m", {{"v", ""}}), R"(m v="")");
  EXPECT_EQ(Text("m", {{"v", "two words"}}), R"(m v="two words")");
  EXPECT_EQ(Text("m", {{"v", "say \"hi\""}}), R"(m v="say \"hi\"")");
  EXPECT_EQ(Text("m", {{"v", "a=b"}}), R"(m v="a=b")");
  EXPECT_EQ(Text("m", {{"v", "back\\slash"}}), R"(m v="back\\slash")");
  EXPECT_EQ(Text("m", {{"v", "127.0.0.1:50051"}}), "m v=127.0.0.1:50051");
  EXPECT_EQ(Text("m", {{"odd key", 1}}), R"(m "odd key"=1)");
}

// Every byte, and the characters that some readers take for an end of line or a command to the terminal.
std::vector<std::string> Hostile() {
  std::vector<std::string> texts = {"a\r\nb",   "\u0085", "\u2028",  "\u2029",
                                    "\u009b2J", "\u202e", "\x1b[2J", "\xff\xfe"};
  for (int byte = 0; byte < 256; ++byte) texts.push_back(std::string("x") + static_cast<char>(byte) + "y");
  return texts;
}

TEST(LogText, NothingStartsANewLineOrLeavesAscii) {
  log::Setup(Level::kInfo, Format::kText, "test-service");
  for (const std::string& text : Hostile()) {
    const std::string line = Captured([&] { Info(text, {{text, 1}, {"value", text}}); });
    ASSERT_EQ(line.find('\n'), line.size() - 1) << line;
    for (const char c : line.substr(0, line.size() - 1)) ASSERT_TRUE(c >= 0x20 && c < 0x7f) << line;
  }
}

TEST(LogText, AForgedEntryStaysInsideItsValue) {
  EXPECT_EQ(Text("login", {{"user", "x\n2026-01-31T12:00:00.000Z error forged"}}),
            R"(login user="x\n2026-01-31T12:00:00.000Z error forged")");
  EXPECT_EQ(Text("line 1\nline 2"), R"(line 1\nline 2)");
}

TEST(LogJson, ParsesBackWithTypes) {
  const json entry = Json("user created", {{"int", -7},
                                           {"big", std::numeric_limits<std::uint64_t>::max()},
                                           {"double", 0.25},
                                           {"bool", false},
                                           {"text", "two \"words\"\n"}});
  ExpectTimeIsNow(entry.at("ts").get<std::string>());
  EXPECT_EQ(entry.at("level"), "info");
  EXPECT_EQ(entry.at("service"), "test-service");
  EXPECT_EQ(entry.at("message"), "user created");
  EXPECT_TRUE(entry.at("int").is_number_integer());
  EXPECT_EQ(entry.at("int"), -7);
  EXPECT_EQ(entry.at("big"), std::numeric_limits<std::uint64_t>::max());
  EXPECT_TRUE(entry.at("double").is_number_float());
  EXPECT_EQ(entry.at("double"), 0.25);
  EXPECT_EQ(entry.at("bool"), false);
  EXPECT_EQ(entry.at("text"), "two \"words\"\n");
  EXPECT_EQ(entry.size(), 9u);
}

TEST(LogJson, NonAsciiTextParsesBack) { EXPECT_EQ(Json("m", {{"v", "Zo\u00eb \u2028"}}).at("v"), "Zo\u00eb \u2028"); }

TEST(LogJson, BadUtf8DoesNotThrow) {
  const json entry = Json("bad \xff", {{"v", "a\xc3"}, {"k\xff", 1}});
  EXPECT_EQ(entry.at("message"), "bad \ufffd");
  EXPECT_EQ(entry.at("v"), "a\ufffd");
  EXPECT_EQ(entry.at("k\ufffd"), 1);
}

TEST(LogJson, EveryHostileTextIsOneParsableLine) {
  for (const std::string& text : Hostile()) EXPECT_TRUE(Json(text, {{text, text}}).is_object());
}

TEST(LogJson, NotANumberIsNull) {
  EXPECT_TRUE(Json("m", {{"v", std::numeric_limits<double>::quiet_NaN()}}).at("v").is_null());
  EXPECT_TRUE(Json("m", {{"v", std::numeric_limits<double>::infinity()}}).at("v").is_null());
}

TEST(LogJson, AFieldCannotReplaceWhatEveryEntryHas) {
  const json entry = Json("m", {{"ts", 1}, {"level", "x"}, {"service", "x"}, {"message", "x"}});
  EXPECT_EQ(entry.at("level"), "info");
  EXPECT_EQ(entry.at("service"), "test-service");
  EXPECT_EQ(entry.at("message"), "m");
  EXPECT_EQ(entry.at("ts_"), 1);
  EXPECT_EQ(entry.at("message_"), "x");
}

TEST(Log, EachLevelDropsWhatIsBelowIt) {
  const std::vector<std::string> names = {"debug", "info", "warning", "error"};
  for (size_t level = 0; level < names.size(); ++level) {
    log::Setup(static_cast<Level>(level), Format::kJson, "test-service");
    const std::vector<std::string> lines = Lines(Captured([] {
      Debug("m");
      Info("m");
      Warning("m");
      Error("m");
    }));
    ASSERT_EQ(lines.size(), names.size() - level);
    for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(json::parse(lines[i]).at("level"), names[level + i]);
  }
}

TEST(Log, WritesNothingToStdout) {
  log::Setup(Level::kInfo, Format::kText, "test-service");
  ::testing::internal::CaptureStdout();
  Captured([] { Error("m"); });
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
}

TEST(Log, ThreadsDoNotMixTheirLines) {
  constexpr int kThreads = 4;
  constexpr int kEntries = 200;
  log::Setup(Level::kInfo, Format::kJson, "test-service");
  const std::string text = Captured([] {
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([thread] {
        for (int entry = 0; entry < kEntries; ++entry) Info("m", {{"thread", thread}, {"entry", entry}});
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  std::vector<int> next(kThreads, 0);
  for (const std::string& line : Lines(text)) {
    const json entry = json::parse(line);
    EXPECT_EQ(entry.at("entry"), next.at(entry.at("thread").get<size_t>())++);
  }
  EXPECT_EQ(next, std::vector<int>(kThreads, kEntries));
}

}  // namespace
}  // namespace crosskey::log
