// db::ReadPasswordFile: what is taken for a password, and what is not.
#include "common/db/password_file.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/status/limits.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class PasswordFileTest : public ::testing::Test {
 protected:
  ~PasswordFileTest() override { std::filesystem::remove(path_); }

  absl::StatusOr<std::string> Read(const std::string& content) {
    std::ofstream(path_, std::ios::binary) << content;
    return db::ReadPasswordFile(path_);
  }
  void ExpectBad(const absl::StatusOr<std::string>& read, const std::string& why) const {
    EXPECT_EQ(read.status().code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(read.status().message()), HasSubstr(path_));
    EXPECT_THAT(std::string(read.status().message()), HasSubstr(why));
  }

  const std::string path_ = ::testing::TempDir() + "password_file_test_" + std::to_string(getpid());
};

TEST_F(PasswordFileTest, IsThePasswordWithoutItsLineEnd) {
  EXPECT_EQ(Read("s3cret").value(), "s3cret");
  EXPECT_EQ(Read("s3cret\n").value(), "s3cret");
  EXPECT_EQ(Read("s3cret\r\n").value(), "s3cret");
  EXPECT_EQ(Read(" two words \n").value(), " two words ");
}

TEST_F(PasswordFileTest, ThatIsEmptyIsNoPassword) {
  ExpectBad(Read(""), "is empty");
  ExpectBad(Read("\n"), "is empty");
}

TEST_F(PasswordFileTest, HasALimit) {
  EXPECT_EQ(Read(std::string(limits::kPasswordFileBytes, 'x')).value().size(), 4096U);
  const auto read = Read(std::string(limits::kPasswordFileBytes + 1, 'x'));
  ExpectBad(read, "has more than 4096 bytes");
  EXPECT_THAT(std::string(read.status().message()), Not(HasSubstr("xxx")));
}

TEST_F(PasswordFileTest, ThatIsNotThereIsNamed) {
  ExpectBad(db::ReadPasswordFile(path_), "cannot be read: No such file or directory");
}

TEST_F(PasswordFileTest, ThatIsAPipeIsNotWaitedFor) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  ExpectBad(db::ReadPasswordFile(path_), "is not a regular file");
}

}  // namespace
}  // namespace crosskey::testing
