// files::WatchedFiles: when files are read, and what becomes of one that is no good.
#include "common/files/watched_files.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "common/telemetry/log.h"

namespace crosskey::testing {
namespace {

using files::WatchedFiles;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr size_t kMaxBytes = 10;

class WatchedFilesTest : public ::testing::Test {
 protected:
  WatchedFilesTest() { std::filesystem::create_directories(folder_); }
  ~WatchedFilesTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  std::string Write(const std::string& name, const std::string& content) const {
    std::ofstream(Path(name), std::ios::binary | std::ios::trunc) << content;
    return Path(name);
  }
  // As it should be done: whoever opens the file gets the old or the new content.
  void Replace(const std::string& name, const std::string& content) const {
    Write("new", content);
    std::filesystem::rename(Path("new"), Path(name));
  }
  // Takes all that do not begin with "bad".
  WatchedFiles::Take Take() {
    return [this](const std::vector<std::string>& contents) {
      tried_ += 1;
      if (absl::StartsWith(contents[0], "bad")) return absl::InvalidArgumentError("[0]: is " + contents[0]);
      taken_.push_back(absl::StrJoin(contents, "+"));
      return absl::OkStatus();
    };
  }
  std::string AddError(const std::string& path) {
    const absl::Status added = files_.Add("policy", {path}, kMaxBytes, Take());
    EXPECT_EQ(added.code(), absl::StatusCode::kInvalidArgument);
    return std::string(added.message());
  }
  double Problem() { return metrics_.Gauge("crosskey_credentials_problem", "", {{"file", "policy"}}).Value(); }
  // What Look logs.
  std::string Look() {
    log::Setup(log::Level::kWarning, log::Format::kText, "test");
    ::testing::internal::CaptureStderr();
    files_.Look();
    const std::string logged = ::testing::internal::GetCapturedStderr();
    log::Setup(log::Level::kError, log::Format::kText, "test");
    return logged;
  }

  const std::string folder_ = ::testing::TempDir() + "watched_files_test_" + std::to_string(getpid());
  telemetry::Metrics metrics_{"test", "0"};
  WatchedFiles files_{metrics_};
  std::vector<std::string> taken_;
  int tried_ = 0;
};

TEST_F(WatchedFilesTest, AreTakenAtOnce) {
  ASSERT_TRUE(files_.Add("policy", {Write("a", "one")}, kMaxBytes, Take()).ok());
  EXPECT_THAT(taken_, ElementsAre("one"));
  EXPECT_EQ(Problem(), 0);
}

TEST_F(WatchedFilesTest, AreReadOnlyIfTheyHaveChanged) {
  ASSERT_TRUE(files_.Add("policy", {Write("a", "one")}, kMaxBytes, Take()).ok());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Look(), "");
  EXPECT_EQ(tried_, 1);
}

TEST_F(WatchedFilesTest, AreTakenWhenTheyAreReplaced) {
  ASSERT_TRUE(files_.Add("policy", {Write("a", "one")}, kMaxBytes, Take()).ok());
  Replace("a", "two");  // as long as before
  Look();
  Write("a", "three");  // in its place
  Look();
  EXPECT_THAT(taken_, ElementsAre("one", "two", "three"));
}

TEST_F(WatchedFilesTest, AreTakenAlsoIfTheTimeIsPutBack) {
  ASSERT_TRUE(files_.Add("policy", {Write("a", "one")}, kMaxBytes, Take()).ok());
  const auto time = std::filesystem::last_write_time(Path("a"));
  Write("a", "two");
  std::filesystem::last_write_time(Path("a"), time);
  struct stat state = {};
  ASSERT_EQ(stat(Path("a").c_str(), &state), 0);
  // The kernel's clock may not have moved on; it has when this file has another time.
  for (struct stat later = state; later.st_ctim.tv_nsec == state.st_ctim.tv_nsec;) {
    std::filesystem::last_write_time(Path("a"), time);
    ASSERT_EQ(stat(Path("a").c_str(), &later), 0);
  }
  Look();
  EXPECT_THAT(taken_, ElementsAre("one", "two"));
}

TEST_F(WatchedFilesTest, AreTakenAsKubernetesReplacesThem) {
  // a -> ..data/a, and ..data -> the folder of a version.
  for (const char* version : {"v1", "v2"}) std::filesystem::create_directory(Path(version));
  Write("v1/a", "one");
  Write("v2/a", "two");
  std::filesystem::create_symlink("v1", Path("..data"));
  std::filesystem::create_symlink("..data/a", Path("a"));
  ASSERT_TRUE(files_.Add("policy", {Path("a")}, kMaxBytes, Take()).ok());
  std::filesystem::create_symlink("v2", Path("..data_tmp"));
  std::filesystem::rename(Path("..data_tmp"), Path("..data"));
  Look();
  EXPECT_THAT(taken_, ElementsAre("one", "two"));
}

TEST_F(WatchedFilesTest, ALinkToABadVersionChangesNothingUntilItIsSwitchedBack) {
  for (const char* version : {"v1", "v2"}) std::filesystem::create_directory(Path(version));
  Write("v1/a", "one");
  Write("v2/a", "bad");
  const auto point_to = [this](const char* version) {
    std::filesystem::create_symlink(version, Path("..data_tmp"));
    std::filesystem::rename(Path("..data_tmp"), Path("..data"));
  };
  point_to("v1");
  std::filesystem::create_symlink("..data/a", Path("a"));
  ASSERT_TRUE(files_.Add("policy", {Path("a")}, kMaxBytes, Take()).ok());
  point_to("v2");
  Look();
  EXPECT_EQ(Problem(), 1);
  point_to("v1");
  Look();
  EXPECT_EQ(Problem(), 0) << "the file that was read last is good, though it is the one that was taken first";
  EXPECT_EQ(taken_.back(), "one");
}

TEST_F(WatchedFilesTest, ThatBelongTogetherAreTakenTogether) {
  ASSERT_TRUE(files_.Add("policy", {Write("a", "a1"), Write("b", "b1")}, kMaxBytes, Take()).ok());
  Replace("b", "b2");
  Look();
  Replace("a", "a2");
  Look();
  EXPECT_THAT(taken_, ElementsAre("a1+b1", "a1+b2", "a2+b2"));
}

TEST_F(WatchedFilesTest, ThatAreNoGoodChangeNothing) {
  ASSERT_TRUE(files_.Add("policy", {Write("a", "one")}, kMaxBytes, Take()).ok());
  Replace("a", "bad");
  const std::string logged = Look();
  EXPECT_THAT(logged, HasSubstr(" warning "));
  EXPECT_THAT(logged, HasSubstr("file=policy"));
  EXPECT_THAT(logged, HasSubstr("[0]: is bad"));
  EXPECT_EQ(Problem(), 1);
  EXPECT_THAT(taken_, ElementsAre("one"));

  EXPECT_EQ(Look(), "") << "the same problem is not logged again";
  EXPECT_EQ(tried_, 3) << "but tried again";
  Replace("a", "bad2");
  EXPECT_THAT(Look(), HasSubstr("is bad2"));
  EXPECT_EQ(Problem(), 1);

  Replace("a", "two");
  EXPECT_EQ(Look(), "");
  EXPECT_EQ(Problem(), 0);
  Replace("a", "bad2");
  EXPECT_THAT(Look(), HasSubstr("is bad2")) << "a problem that comes back is logged again";
  EXPECT_THAT(taken_, ElementsAre("one", "two"));
}

TEST_F(WatchedFilesTest, ThatAreGoneChangeNothing) {
  ASSERT_TRUE(files_.Add("policy", {Write("a", "one")}, kMaxBytes, Take()).ok());
  std::filesystem::remove(Path("a"));
  EXPECT_THAT(Look(), HasSubstr(Path("a") + ": cannot be read: No such file or directory"));
  EXPECT_EQ(Problem(), 1);
  Write("a", "two");
  EXPECT_EQ(Look(), "");
  EXPECT_EQ(Problem(), 0);
  EXPECT_THAT(taken_, ElementsAre("one", "two"));
}

TEST_F(WatchedFilesTest, OneThatIsNoGoodKeepsNoOtherBack) {
  ASSERT_TRUE(files_.Add("policy", {Write("a", "one")}, kMaxBytes, Take()).ok());
  ASSERT_TRUE(files_.Add("tokens", {Write("b", "1")}, kMaxBytes, Take()).ok());
  Replace("a", "bad");
  Replace("b", "2");
  Look();
  EXPECT_THAT(taken_, ElementsAre("one", "1", "2"));
  EXPECT_EQ(metrics_.Gauge("crosskey_credentials_problem", "", {{"file", "tokens"}}).Value(), 0);
}

TEST_F(WatchedFilesTest, ThatAreNoGoodAtFirstAreNotWatched) {
  EXPECT_EQ(AddError(Path("a")), Path("a") + ": cannot be read: No such file or directory");
  EXPECT_EQ(AddError(Write("a", "bad")), "[0]: is bad");
  Write("a", "one");
  EXPECT_EQ(Look(), "");
  EXPECT_THAT(taken_, ElementsAre());
}

TEST_F(WatchedFilesTest, HaveALimit) {
  ASSERT_TRUE(files_.Add("policy", {Write("a", "1234567890")}, kMaxBytes, Take()).ok());
  EXPECT_EQ(AddError(Write("b", "12345678901")), Path("b") + ": has more than 10 bytes");
  EXPECT_TRUE(files_.Add("policy", {Write("c", "")}, kMaxBytes, Take()).ok()) << "emptiness is for the taker to judge";
}

TEST_F(WatchedFilesTest, AreFiles) {
  EXPECT_EQ(AddError(folder_), folder_ + ": is not a regular file");
  ASSERT_EQ(mkfifo(Path("a").c_str(), 0600), 0);
  EXPECT_EQ(AddError(Path("a")), Path("a") + ": is not a regular file");
}

}  // namespace
}  // namespace crosskey::testing
