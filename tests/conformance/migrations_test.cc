// db::Migrate and db::CheckSchema, and the schemas of both services.
#include "post-service/storage/migrations.h"

#include <algorithm>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_join.h"
#include "tests/conformance/storage.h"
#include "tests/support/status_matchers.h"
#include "user-service/storage/migrations.h"

namespace crosskey::testing {
namespace {

using absl::StatusCode;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::Not;
using Rows = std::vector<std::vector<std::string>>;

const db::Migration kFirst{1, "0001_first",
                           "-- a comment; with a semicolon\n"
                           "CREATE TABLE a (\n"
                           "  id BIGINT NOT NULL PRIMARY KEY\n"
                           ");\n"
                           "INSERT INTO a (id) VALUES (1);\n"};
const db::Migration kSecond{2, "0002_second", "INSERT INTO a (id) VALUES (2);\nINSERT INTO a (id) VALUES (3);\n"};
const db::Migration kThird{3, "0003_third", "INSERT INTO a (id) VALUES (4);\n"};

class Migrations : public DatabaseTest {
 protected:
  Migrations() : storage_(GetParam()) {}

  absl::Status Migrate(const std::vector<db::Migration>& migrations) {
    return db::Migrate(storage_.database, TestCall(), migrations);
  }
  absl::Status Check(const std::vector<db::Migration>& migrations) {
    return db::CheckSchema(storage_.database, TestCall(), migrations);
  }
  Rows Applied() { return storage_.own.Query("SELECT number, name FROM schema_migrations ORDER BY number"); }
  Rows Ids() { return storage_.own.Query("SELECT id FROM a ORDER BY id"); }

  Storage storage_;
};
CROSSKEY_ON_EVERY_DATABASE(Migrations);

TEST_P(Migrations, AreAppliedInOrderAndOnce) {
  EXPECT_THAT(Migrate({kFirst, kSecond}), IsOk());
  EXPECT_EQ(Applied(), (Rows{{"1", "0001_first"}, {"2", "0002_second"}}));
  EXPECT_EQ(Ids(), (Rows{{"1"}, {"2"}, {"3"}}));

  EXPECT_THAT(Migrate({kFirst, kSecond}), IsOk());
  EXPECT_EQ(Ids(), (Rows{{"1"}, {"2"}, {"3"}}));

  EXPECT_THAT(Migrate({kFirst, kSecond, kThird}), IsOk());
  EXPECT_EQ(Applied().size(), 3U);
  EXPECT_EQ(Ids(), (Rows{{"1"}, {"2"}, {"3"}, {"4"}}));
}

TEST_P(Migrations, NothingIsDoneWhenAnAppliedOneHasChanged) {
  ASSERT_THAT(Migrate({kFirst, kSecond}), IsOk());
  db::Migration changed = kSecond;
  changed.text += "-- only a comment\n";
  const absl::Status status = Migrate({kFirst, changed, kThird});
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("0002_second"));
  EXPECT_EQ(Applied().size(), 2U);
  EXPECT_EQ(Ids().size(), 3U);
  EXPECT_EQ(Check({kFirst, changed}).code(), StatusCode::kFailedPrecondition);
}

TEST_P(Migrations, AFailureNamesTheMigrationAndLeavesItUnrecorded) {
  const absl::Status status = Migrate({kFirst, {2, "0002_broken", "NONSENSE;\n"}});
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("0002_broken"));
  // The lock is free for the next process, while this one's sessions are still open.
  telemetry::Metrics metrics("test", "0");
  db::Database database(OptionsFor(storage_.own), metrics);
  EXPECT_THAT(db::Migrate(database, Call::Background(absl::Seconds(20)), {kFirst, kSecond}), IsOk());
  EXPECT_EQ(Ids().size(), 3U);
}

TEST_P(Migrations, CheckSchemaTellsWhatIsMissing) {
  EXPECT_EQ(Check({kFirst}).code(), StatusCode::kFailedPrecondition);
  ASSERT_THAT(Migrate({kFirst}), IsOk());
  EXPECT_THAT(Check({kFirst}), IsOk());
  const absl::Status status = Check({kFirst, kSecond});
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("0002_second"));
}

TEST_P(Migrations, LaterOnesThanTheKnownAreFine) {
  ASSERT_THAT(Migrate({kFirst, kSecond}), IsOk());
  EXPECT_THAT(Check({kFirst}), IsOk());
  EXPECT_THAT(Migrate({kFirst}), IsOk());
  EXPECT_EQ(Applied().size(), 2U);
}

TEST_P(Migrations, SeveralProcessesAtOnceApplyThemOnce) {
  const int count = 4;
  std::vector<std::thread> processes;
  for (int i = 0; i < count; ++i) {
    processes.emplace_back([&] {
      // Each has a pool and, on SQLite, a writer queue of its own.
      telemetry::Metrics metrics("test", "0");
      db::Database database(OptionsFor(storage_.own), metrics);
      EXPECT_THAT(db::Migrate(database, TestCall(), {kFirst, kSecond, kThird}), IsOk());
    });
  }
  for (std::thread& process : processes) process.join();
  EXPECT_EQ(Applied().size(), 3U);
  EXPECT_EQ(Ids(), (Rows{{"1"}, {"2"}, {"3"}, {"4"}}));
}

// Every table's columns in their order, and every index by name with its columns and whether it is unique; sorted.
std::vector<std::string> Schema(const TestDatabase& database) {
  Rows rows;
  if (database.is_sqlite()) {
    rows = database.Query(
        "SELECT t.name, 'column', c.name, c.cid + 1, '' FROM sqlite_master t, pragma_table_info(t.name) c "
        "WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' "
        "UNION ALL "
        "SELECT t.name, CASE i.\"unique\" WHEN 1 THEN 'unique' ELSE 'index' END, i.name, c.seqno + 1, c.name "
        "FROM sqlite_master t, pragma_index_list(t.name) i, pragma_index_info(i.name) c "
        "WHERE t.type = 'table' AND i.origin <> 'pk' ORDER BY 1, 2, 3, 4");
  } else {
    rows = database.Query(
        "SELECT table_name, 'column', column_name, ordinal_position, '' FROM information_schema.columns "
        "WHERE table_schema = DATABASE() "
        "UNION ALL "
        "SELECT table_name, CASE non_unique WHEN 0 THEN 'unique' ELSE 'index' END, index_name, seq_in_index, "
        "column_name FROM information_schema.statistics WHERE table_schema = DATABASE() AND index_name <> 'PRIMARY'");
  }
  std::vector<std::string> lines;
  for (const auto& row : rows) lines.push_back(absl::StrJoin(row, " "));
  std::sort(lines.begin(), lines.end());
  return lines;
}

using MigrationsOf = const std::vector<db::Migration>& (*)(db::Dialect);

std::vector<std::string> SchemaOf(const std::string& backend, MigrationsOf migrations) {
  const TestDatabase own(backend);
  telemetry::Metrics metrics("test", "0");
  db::Database database(OptionsFor(own), metrics);
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(db::Migrate(database, TestCall(), migrations(database.dialect())), IsOk());
  }
  EXPECT_THAT(db::CheckSchema(database, TestCall(), migrations(database.dialect())), IsOk());
  return Schema(own);
}

class ServiceSchemas : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(ServiceSchemas);

TEST_P(ServiceSchemas, AreTheSameOnEveryDatabase) {
  for (const MigrationsOf migrations : {&users::Migrations, &posts::Migrations}) {
    const std::vector<std::string> schema = SchemaOf(GetParam(), migrations);
    EXPECT_THAT(schema, Not(::testing::IsEmpty()));
    EXPECT_THAT(schema, ElementsAreArray(SchemaOf("sqlite", migrations)));
  }
}

TEST(ServiceMigrations, HaveTheSameMigrationsForBothDialects) {
  for (const MigrationsOf migrations : {&users::Migrations, &posts::Migrations}) {
    const auto& sqlite = migrations(db::Dialect::kSqlite);
    const auto& mysql = migrations(db::Dialect::kMysql);
    ASSERT_EQ(sqlite.size(), mysql.size());
    for (size_t i = 0; i < sqlite.size(); ++i) {
      EXPECT_EQ(sqlite[i].number, static_cast<int>(i) + 1);
      EXPECT_EQ(mysql[i].number, static_cast<int>(i) + 1);
      EXPECT_EQ(sqlite[i].name, mysql[i].name);
    }
  }
}

}  // namespace
}  // namespace crosskey::testing
