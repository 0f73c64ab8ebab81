#include "common/telemetry/audit_log.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "common/telemetry/metrics.h"
#include "tests/support/metric_of.h"

namespace crosskey::telemetry {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class AuditLogTest : public ::testing::Test {
 protected:
  ~AuditLogTest() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<AuditLog> Open() {
    auto log = AuditLog::Open(path_, "user-service", metrics_);
    EXPECT_TRUE(log.ok()) << log.status();
    return *std::move(log);
  }

  static std::vector<nlohmann::json> Lines(const std::string& path) {
    std::vector<nlohmann::json> lines;
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }

  static std::string NewFolder() {
    std::string name = ::testing::TempDir() + "audit_XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    return name;
  }

  Metrics metrics_{"user-service", "test"};
  const std::string folder_ = NewFolder();
  const std::string path_ = folder_ + "/audit.log";
};

TEST_F(AuditLogTest, ALineSaysWhoDidWhat) {
  Open()->Write({"token:web", "10.0.0.7:4711", "/user.v1.UserService/DeleteUser", {"users/7"}, 0, 3, "00-a", "OK", ""});
  const auto lines = Lines(path_);
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0]["service"], "user-service");
  EXPECT_EQ(lines[0]["principal"], "token:web");
  EXPECT_EQ(lines[0]["address"], "10.0.0.7:4711");
  EXPECT_EQ(lines[0]["method"], "/user.v1.UserService/DeleteUser");
  EXPECT_EQ(lines[0]["resources"], nlohmann::json::array({"users/7"}));
  EXPECT_EQ(lines[0]["deletion_id"], 3);
  EXPECT_EQ(lines[0]["traceparent"], "00-a");
  EXPECT_EQ(lines[0]["outcome"], "OK");
  EXPECT_FALSE(lines[0].contains("reason"));
  EXPECT_FALSE(lines[0].contains("more_resources"));
  EXPECT_TRUE(lines[0].contains("time"));
}

TEST_F(AuditLogTest, WhatIsNoTextStaysOneLine) {
  Open()->Write({"jwt:i#a\nb\"\xff", "", "repair", {}, 0, 0, "", "OK", ""});
  const auto lines = Lines(path_);
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0]["principal"].get<std::string>(), HasSubstr("jwt:i#a\nb\""));
}

TEST_F(AuditLogTest, ItIsForThisAccountAloneAndGoesOn) {
  Open()->Write({"a", "", "m", {}, 0, 0, "", "OK", ""});
  Open()->Write({"b", "", "m", {}, 0, 0, "", "OK", ""});
  EXPECT_THAT(Lines(path_), SizeIs(2));
  struct stat file {};
  ASSERT_EQ(stat(path_.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600);
}

TEST_F(AuditLogTest, AFileThatIsMovedAwayIsOpenedAgain) {
  const auto log = Open();
  log->Write({"a", "", "m", {}, 0, 0, "", "OK", ""});
  std::filesystem::rename(path_, path_ + ".1");
  log->Write({"b", "", "m", {}, 0, 0, "", "OK", ""});
  log->Look();
  log->Write({"c", "", "m", {}, 0, 0, "", "OK", ""});
  EXPECT_THAT(Lines(path_ + ".1"), SizeIs(2));
  EXPECT_THAT(Lines(path_), SizeIs(1));
}

TEST_F(AuditLogTest, APathThatCannotBeWrittenIsAnError) {
  const auto log = AuditLog::Open(folder_ + "/no/such/folder", "user-service", metrics_);
  EXPECT_TRUE(absl::IsInvalidArgument(log.status()));
  EXPECT_THAT(std::string(log.status().message()), HasSubstr("/no/such/folder"));
}

TEST_F(AuditLogTest, ManyRefusalsAreCountedAndNotWritten) {
  const auto log = Open();
  AuditLog::Entry refusal{"", "", "m", {}, 0, 0, "", "Unauthenticated", "UNAUTHENTICATED", true};
  for (int i = 0; i < 100'000; ++i) log->Write(refusal);
  log->Write({"a", "", "m", {}, 0, 0, "", "OK", ""});
  const auto lines = Lines(path_);
  EXPECT_GE(lines.size(), 101u);
  EXPECT_LT(lines.size(), 50'000u);
  int64_t all = 0;
  for (const auto& line : lines) all += 1 + line.value("refusals_left_out", 0);
  EXPECT_EQ(all, 100'001);
}

TEST_F(AuditLogTest, LinesThatAreLostAreCounted) {
  const auto log = AuditLog::Open("/dev/full", "user-service", metrics_);
  ASSERT_TRUE(log.ok()) << log.status();
  (*log)->Write({"a", "", "m", {}, 0, 0, "", "OK", ""});
  EXPECT_EQ(testing::MetricOf(metrics_, "crosskey_audit_failures_total"), 1);
}

}  // namespace
}  // namespace crosskey::telemetry
