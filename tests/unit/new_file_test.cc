// Tests db::NewFile.
#include "common/db/new_file.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {
namespace {

namespace fs = std::filesystem;
using absl::StatusCode;

class NewFileTest : public ::testing::Test {
 protected:
  NewFileTest() : folder_(absl::StrCat(::testing::TempDir(), "new_file_test_", getpid())), path_(folder_ / "name") {
    fs::create_directories(folder_);
  }
  ~NewFileTest() override { fs::remove_all(folder_); }

  static void Write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
  static std::string Read(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  int64_t Files() const { return std::distance(fs::directory_iterator(folder_), fs::directory_iterator()); }

  const fs::path folder_;
  const std::string path_;
};

TEST_F(NewFileTest, HasNoNameAndLeavesNothingUntilItIsPublished) {
  for (const bool publish : {false, true}) {
    auto file = db::NewFile::Beside(path_);
    ASSERT_THAT(file, IsOk());
    EXPECT_EQ(fs::status((*file)->path()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
    Write((*file)->path(), "text");
    Write((*file)->path() + "-wal", "log");
    EXPECT_FALSE(fs::exists(path_));
    if (publish) {
      EXPECT_THAT((*file)->Publish(), IsOk());
    }
    file->reset();
    EXPECT_EQ(Files(), publish ? 1 : 0);
  }
  EXPECT_EQ(Read(path_), "text");
}

TEST_F(NewFileTest, TakesNoNameThatAnotherHasGot) {
  const auto file = db::NewFile::Beside(path_);
  ASSERT_THAT(file, IsOk());
  Write(path_, "of another");
  EXPECT_EQ((*file)->Publish().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(Read(path_), "of another");
  EXPECT_THAT((*file)->Replace(), IsOk());
  EXPECT_EQ(Read(path_), "");
}

TEST_F(NewFileTest, CopiesAFileUntilTheCallIsOver) {
  const std::string text(3 << 20, 'x');
  Write(folder_ / "other", text);
  const auto file = db::NewFile::Beside(path_);
  ASSERT_THAT(file, IsOk());
  Call call;
  EXPECT_THAT((*file)->CopyFrom(call, folder_ / "other"), IsOk());
  EXPECT_EQ(Read((*file)->path()), text);
  int looks = 0;
  call.cancelled = [&] { return ++looks == 2; };
  EXPECT_EQ((*file)->CopyFrom(call, folder_ / "other").code(), StatusCode::kCancelled);
  const absl::Status missing = (*file)->CopyFrom({}, folder_ / "missing");
  EXPECT_EQ(missing.code(), StatusCode::kUnavailable);
  EXPECT_EQ(std::string(missing.message()),
            absl::StrCat("cannot read ", folder_.string(), "/missing: No such file or directory"));
}

TEST_F(NewFileTest, AddsANameThatIsFree) {
  Write(path_, "text");
  EXPECT_THAT(db::AddName(path_, path_ + ".kept"), IsOk());
  EXPECT_EQ(Read(path_ + ".kept"), "text");
  EXPECT_EQ(db::AddName(path_, path_ + ".kept").code(), StatusCode::kAlreadyExists);
}

}  // namespace
}  // namespace crosskey::testing
