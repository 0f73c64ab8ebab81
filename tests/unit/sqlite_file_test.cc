// Tests db::SqliteFile and db::SqliteLock, in one process. tests/process has what other processes do.
#include "common/db/sqlite_file.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_database.h"

namespace crosskey::testing {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;

class SqliteFileTest : public ::testing::Test {
 protected:
  SqliteFileTest() : own_("sqlite"), path_(own_.url().substr(7)), other_(path_ + ".copy") {
    own_.Run("PRAGMA journal_mode = WAL; CREATE TABLE a (id INTEGER PRIMARY KEY, content BLOB)");
    AddRows(2000);
  }

  // Each takes a page, more or less.
  void AddRows(int count) const {
    own_.Run(
        absl::StrCat("INSERT INTO a (content) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
                     "i < ",
                     count, ") SELECT randomblob(4000) FROM n"));
  }

  absl::Status Copy(const std::function<bool()>& at_each_step) const {
    std::ofstream(other_).close();
    const auto file = db::SqliteFile::Open(path_);
    EXPECT_THAT(file, IsOk());
    Call call;
    call.cancelled = at_each_step;
    return (*file)->CopyTo(call, other_);
  }

  static int64_t Rows(const std::string& path) {
    const auto file = db::SqliteFile::Open(path);
    EXPECT_THAT((*file)->CheckFully(), IsOk());
    const auto rows = (*file)->connection().Query<int64_t>({"test.count", "SELECT COUNT(*) FROM a"});
    EXPECT_THAT(rows, IsOk());
    return std::get<0>(rows->front());
  }

  const TestDatabase own_;
  const std::string path_;
  const std::string other_;
};

// SQLite begins a copy anew when another session has written, so this one would never end.
TEST_F(SqliteFileTest, ACopyIsOfOneMomentAndEndsThoughOthersWrite) {
  int steps = 0;
  EXPECT_THAT(Copy([&] {
                AddRows(1);
                return ++steps == 100;
              }),
              IsOk());
  EXPECT_GT(steps, 5) << "the copy is made by steps";
  EXPECT_EQ(Rows(other_), 2000);
  EXPECT_EQ(Rows(path_), 2000 + steps);
}

TEST_F(SqliteFileTest, ACopyEndsWithItsCall) {
  int steps = 0;
  EXPECT_EQ(Copy([&] { return ++steps == 2; }).code(), StatusCode::kCancelled);
  EXPECT_EQ(steps, 2);
}

TEST_F(SqliteFileTest, ASettledOneIsOneFile) {
  ASSERT_THAT(Copy([] { return false; }), IsOk());
  const auto file = db::SqliteFile::Open(other_);
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT((*file)->Settle(), IsOk());
  EXPECT_FALSE(std::filesystem::exists(other_ + "-wal"));
  EXPECT_EQ(Rows(other_), 2000);
  EXPECT_FALSE(std::filesystem::exists(other_ + "-wal")) << "nor does reading it make another one";
}

TEST_F(SqliteFileTest, ALockIsRefusedWhileASessionIsOpenThoughItDoesNothing) {
  auto idle = db::SqliteFile::Open(path_);
  ASSERT_THAT(idle, IsOk());
  ASSERT_THAT((*idle)->CheckQuickly(), IsOk());
  const absl::Status refused = db::SqliteLock::Take(path_).status();
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("has " + path_ + " open"));

  idle->reset();
  auto lock = db::SqliteLock::Take(path_);
  ASSERT_THAT(lock, IsOk());
  EXPECT_FALSE(db::SqliteLock::Take(path_).ok());
  lock->reset();
  EXPECT_THAT(db::SqliteLock::Take(path_), IsOk());
  EXPECT_EQ(Rows(path_), 2000);
}

TEST_F(SqliteFileTest, ALockOfADamagedFileCanBeTakenOnce) {
  std::filesystem::remove(path_ + "-wal");
  std::ofstream(path_) << "This is no database, and longer than the header that SQLite looks at. "
                       << std::string(200, 'x');
  const auto lock = db::SqliteLock::Take(path_);
  ASSERT_THAT(lock, IsOk());
  EXPECT_EQ(db::SqliteLock::Take(path_).status().code(), StatusCode::kFailedPrecondition);
}

TEST_F(SqliteFileTest, ALockMakesNoFile) {
  EXPECT_EQ(db::SqliteLock::Take("/no/such/file").status().code(), StatusCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists("/no/such/file"));
}

TEST_F(SqliteFileTest, ChecksFindWhatDoesNotFit) {
  own_.Run("CREATE TABLE b (a_id BIGINT REFERENCES a (id)); INSERT INTO b VALUES (7000); PRAGMA journal_mode = DELETE");
  const auto orphan = db::SqliteFile::Open(path_);
  ASSERT_THAT(orphan, IsOk());
  EXPECT_THAT((*orphan)->CheckQuickly(), IsOk());
  EXPECT_EQ((*orphan)->CheckFully().code(), StatusCode::kDataLoss);
  EXPECT_THAT(std::string((*orphan)->CheckFully().message()), HasSubstr("row 1 of b refers to a row of a"));

  std::filesystem::copy_file(path_, other_);
  std::filesystem::resize_file(other_, std::filesystem::file_size(other_) / 2);
  const auto half = db::SqliteFile::Open(other_);
  ASSERT_THAT(half, IsOk());
  EXPECT_EQ((*half)->CheckQuickly().code(), StatusCode::kDataLoss);
  EXPECT_EQ((*half)->CheckFully().code(), StatusCode::kDataLoss);

  std::ofstream(other_) << std::string(5000, 'x');
  const auto none = db::SqliteFile::Open(other_);
  ASSERT_THAT(none, IsOk());
  EXPECT_THAT(std::string((*none)->CheckFully().message()), HasSubstr("it is no SQLite database"));
}

}  // namespace
}  // namespace crosskey::testing
