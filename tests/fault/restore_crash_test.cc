// `restore` is killed, or fails, at each of its steps. The database is the old or the new one then, and whole.
#include <csignal>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/fault/points.h"
#include "tests/support/child_process.h"
#include "tests/support/process_pair.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

namespace fs = std::filesystem;
using Rows = std::vector<std::vector<std::string>>;

constexpr char kFaultyUserService[] = "tests/user-service";
constexpr char kMark[] = "SELECT COUNT(*) FROM leases WHERE name = 'later'";

// Whether the process has the file open.
bool Opens(pid_t pid, const std::string& path) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(absl::StrCat("/proc/", pid, "/fd"), error)) {
    if (fs::read_symlink(entry.path(), error) == path) return true;
  }
  return false;
}

class RestoreCrash : public ::testing::Test {
 protected:
  // Makes a backup and then adds the mark to the database, which so differs from it.
  RestoreCrash() : pair_("sqlite"), path_(pair_.user_db().url().substr(7)), backup_(path_ + ".bak") {
    pair_.StartUsers();
    EXPECT_EQ(Run({"backup", backup_}), 0);
    pair_.user_db().Run("INSERT INTO leases VALUES ('later', '', 0)");
    pair_.DropUsers();  // its log stays
  }

  int Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--db", pair_.user_db().url()});
    return RunProgram(kFaultyUserService, arguments, &output_);
  }

  size_t FilesLike(const std::string& begin) const {
    size_t count = 0;
    for (const auto& entry : fs::directory_iterator(fs::path(path_).parent_path())) {
      count += entry.path().filename().string().rfind(begin, 0) == 0 ? 1 : 0;
    }
    return count;
  }

  ProcessPair pair_;
  const std::string path_;
  const std::string backup_;
  std::string output_;
};

TEST_F(RestoreCrash, LeavesTheOldOrTheNewDatabaseWhole) {
  for (const std::string point : fault::kRestore) {
    SCOPED_TRACE(point);
    const bool is_placed = point == fault::kRestorePlaced;
    EXPECT_EQ(Run({"restore", backup_, "--fault", point + "=die"}), 128 + SIGKILL) << output_;
    EXPECT_EQ(pair_.user_db().Query("PRAGMA integrity_check"), (Rows{{"ok"}}));
    EXPECT_EQ(pair_.user_db().Number(kMark), is_placed ? 0 : 1);
    EXPECT_EQ(Run({"restore", backup_}), 0) << output_;
    EXPECT_EQ(pair_.user_db().Number(kMark), 0);
    pair_.StartUsers();
    pair_.user_db().Run("INSERT INTO leases VALUES ('later', '', 0)");
    pair_.DropUsers();
  }
}

TEST_F(RestoreCrash, AFailureLeavesTheOldDatabaseAndNothingElse) {
  for (const std::string point : {fault::kRestoreReady, fault::kRestoreKept, fault::kRestoreCleared}) {
    SCOPED_TRACE(point);
    EXPECT_EQ(Run({"restore", backup_, "--fault", point + "=fail"}), 1) << output_;
    EXPECT_EQ(pair_.user_db().Number(kMark), 1);
    EXPECT_EQ(FilesLike("test.db.before-restore-") + FilesLike("test.db.new-"), 0U);
  }
}

// It has opened the file before, and waits for the lock: it must not go on with the file that has lost the name.
TEST_F(RestoreCrash, AServiceThatIsStartedMeanwhileServesTheNewDatabase) {
  const std::string go_on = path_ + ".go";
  ChildProcess restore(kFaultyUserService, {"restore", backup_, "--db", pair_.user_db().url(), "--fault",
                                            absl::StrCat(fault::kRestoreCleared, "=wait:", go_on)});
  ASSERT_TRUE(WaitFor([&] { return absl::StrContains(restore.Output(), "reached"); })) << restore.Output();
  pair_.StartUsers(false);
  EXPECT_TRUE(WaitFor([&] { return Opens(pair_.user_process().pid(), path_); }));
  std::ofstream(go_on).close();
  EXPECT_EQ(restore.Wait(), 0) << restore.Output();
  EXPECT_TRUE(WaitFor([&] { return pair_.Healthy("user-service"); })) << pair_.user_process().Output();
  EXPECT_EQ(pair_.user_db().Number(kMark), 0);
  EXPECT_EQ(pair_.user_db().Query("PRAGMA integrity_check"), (Rows{{"ok"}}));
  EXPECT_TRUE(WaitFor([&] { return Opens(pair_.user_process().pid(), path_); }));
  for (const auto& entry : fs::directory_iterator(fs::path(path_).parent_path())) {
    EXPECT_FALSE(absl::StrContains(entry.path().string(), "before-restore") &&
                 Opens(pair_.user_process().pid(), entry.path()));
  }
}

}  // namespace
}  // namespace crosskey::testing
