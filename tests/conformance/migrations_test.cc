// db::Migrate and db::CheckSchema, and the schemas of both services.
#include <algorithm>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_join.h"
#include "common/db/schema_text.h"
#include "post-service/storage/schema.h"
#include "tests/conformance/storage.h"
#include "tests/support/status_matchers.h"
#include "user-service/storage/schema.h"

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
    return db::Migrate(storage_.database, TestCall(), Of(migrations));
  }
  absl::Status Check(const std::vector<db::Migration>& migrations) {
    return db::CheckSchema(storage_.database, TestCall(), Of(migrations));
  }
  static db::Schema Of(const std::vector<db::Migration>& migrations) { return {{{"part", migrations}}, {}}; }
  Rows Applied() { return storage_.own.Query("SELECT number, name FROM schema_components ORDER BY number"); }
  // How many of these tables there are.
  int64_t TableCount(const std::string& names) {
    return storage_.own.Number((storage_.own.is_sqlite()
                                    ? "SELECT COUNT(*) FROM sqlite_master WHERE name IN ("
                                    : "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() "
                                      "AND table_name IN (") +
                               names + ")");
  }
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
  // The lock of the migrations is free for the next process, even while this one's sessions are still open.
  telemetry::Metrics metrics("test", "0");
  db::Database database(OptionsFor(storage_.own), metrics);
  EXPECT_THAT(db::Migrate(database, Call::Background(absl::Seconds(20)), Of({kFirst, kSecond})), IsOk());
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
      // Each process has a pool and, on SQLite, a writer queue of its own.
      telemetry::Metrics metrics("test", "0");
      db::Database database(OptionsFor(storage_.own), metrics);
      EXPECT_THAT(db::Migrate(database, TestCall(), Of({kFirst, kSecond, kThird})), IsOk());
    });
  }
  for (std::thread& process : processes) process.join();
  EXPECT_EQ(Applied().size(), 3U);
  EXPECT_EQ(Ids(), (Rows{{"1"}, {"2"}, {"3"}, {"4"}}));
}

const db::Migration kTables{1, "0001_tables",
                            "CREATE TABLE IF NOT EXISTS b (id BIGINT NOT NULL PRIMARY KEY);\n"
                            "CREATE TABLE IF NOT EXISTS c (id BIGINT NOT NULL PRIMARY KEY);\n"};
const db::Migration kLast{2, "0002_last", "CREATE TABLE IF NOT EXISTS d (id BIGINT NOT NULL PRIMARY KEY);\n"};

TEST_P(Migrations, TablesOfAnotherApplicationAreNotTakenOver) {
  storage_.own.Run("CREATE TABLE c (name VARCHAR(10))");
  storage_.own.Run("CREATE TABLE d (name VARCHAR(10))");
  const absl::Status status = Migrate({kTables, kLast});
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("is recorded: c, d;"));
  EXPECT_EQ(storage_.own.Query("SELECT * FROM c"), Rows());
  EXPECT_EQ(TableCount("'b', 'schema_components'"), 0) << "nothing was done";

  storage_.own.Run("DROP TABLE c");
  storage_.own.Run("DROP TABLE d");
  EXPECT_THAT(Migrate({kTables, kLast}), IsOk());
}

TEST_P(Migrations, AViewIsNotTakenForATable) {
  storage_.own.Run("CREATE VIEW c AS SELECT 1 AS id");
  EXPECT_EQ(Migrate({kTables}).code(), StatusCode::kFailedPrecondition);
}

TEST_P(Migrations, ABackupThatLacksTheirRecordIsNotTakenForANewDatabase) {
  ASSERT_THAT(Migrate({kTables, kLast}), IsOk());
  storage_.own.Run("DELETE FROM schema_components");
  EXPECT_EQ(Migrate({kTables, kLast}).code(), StatusCode::kFailedPrecondition);
  storage_.own.Run("DROP TABLE schema_components");
  const absl::Status status = Migrate({kTables, kLast});
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("is recorded: b, c, d;"));
  EXPECT_EQ(TableCount("'schema_components'"), 0);
}

// A server commits each CREATE TABLE by itself. So a process that died may have left tables of the step after the last
// recorded one, and of that step alone. On SQLite it can have left none.
TEST_P(Migrations, OneThatWasInterruptedIsBegunAgain) {
  ASSERT_THAT(Migrate({kFirst}), IsOk());
  const db::Schema more{{{"part", {kFirst}}, {"more", {kTables, kLast}}}, {}};
  storage_.own.Run("CREATE TABLE b (id BIGINT NOT NULL PRIMARY KEY)");
  const absl::Status status = db::Migrate(storage_.database, TestCall(), more);
  if (storage_.own.is_sqlite()) {
    EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
    storage_.own.Run("DROP TABLE b");
  } else {
    EXPECT_THAT(status, IsOk());
    storage_.own.Run("DROP TABLE b, c, d");
    storage_.own.Run("DELETE FROM schema_components WHERE component = 'more'");
  }
  storage_.own.Run("CREATE TABLE d (id BIGINT NOT NULL PRIMARY KEY)");
  EXPECT_EQ(db::Migrate(storage_.database, TestCall(), more).code(), StatusCode::kFailedPrecondition);
  storage_.own.Run("DROP TABLE d");
  EXPECT_THAT(db::Migrate(storage_.database, TestCall(), more), IsOk());
}

TEST_P(Migrations, TheVeryFirstOneThatWasInterruptedIsBegunAgain) {
  const absl::Status broken = Migrate({{1, "0001_broken", kTables.text + "NONSENSE;\n"}});
  EXPECT_FALSE(broken.ok());
  EXPECT_THAT(Migrate({kTables, kLast}), IsOk());
}

TEST_P(Migrations, OnlyKnownOnesAreKnown) {
  const auto check = [&](const db::Schema& schema) {
    return storage_.database.Read(TestCall(),
                                  [&](db::Connection& connection) { return db::CheckKnown(connection, schema); });
  };
  EXPECT_EQ(check(Of({kFirst})).code(), StatusCode::kFailedPrecondition);
  ASSERT_THAT(Migrate({kFirst, kSecond}), IsOk());
  EXPECT_THAT(check(Of({kFirst, kSecond, kThird})), IsOk()) << "an older database";
  EXPECT_THAT(std::string(check(Of({kFirst})).message()), HasSubstr("the migration 2 of part"));
  db::Migration changed = kSecond;
  changed.text += "-- only a comment\n";
  EXPECT_THAT(std::string(check(Of({kFirst, changed})).message()), HasSubstr("0002_second"));
  storage_.own.Run("DELETE FROM schema_components");
  EXPECT_EQ(check(Of({kFirst})).code(), StatusCode::kFailedPrecondition);
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

std::vector<std::string> SchemaOf(const std::string& backend, const db::Schema& schema) {
  const TestDatabase own(backend);
  telemetry::Metrics metrics("test", "0");
  db::Database database(OptionsFor(own), metrics);
  for (int i = 0; i < 2; ++i) EXPECT_THAT(db::Migrate(database, TestCall(), schema), IsOk());
  EXPECT_THAT(db::CheckSchema(database, TestCall(), schema), IsOk());
  return Schema(own);
}

class ServiceSchemas : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(ServiceSchemas);

TEST_P(ServiceSchemas, AreTheSameOnEveryDatabase) {
  for (const db::Schema& service : {users::Schema(), posts::Schema()}) {
    const std::vector<std::string> schema = SchemaOf(GetParam(), service);
    EXPECT_THAT(schema, Not(::testing::IsEmpty()));
    EXPECT_THAT(schema, ElementsAreArray(SchemaOf("sqlite", service)));
  }
}

TEST_P(Migrations, ComponentsHaveNumbersOfTheirOwn) {
  const db::Schema both{{{"part", {kFirst}}, {"other", {{1, "0001_other", "INSERT INTO a (id) VALUES (7);\n"}}}}, {}};
  EXPECT_THAT(db::Migrate(storage_.database, TestCall(), both), IsOk());
  EXPECT_EQ(Ids(), (Rows{{"1"}, {"7"}}));
  const absl::Status status = Check({kFirst, kSecond});
  EXPECT_THAT(std::string(status.message()), HasSubstr("0002_second of part"));
  EXPECT_THAT(db::CheckSchema(storage_.database, TestCall(), both), IsOk());
}

// The record of an adopted database was lost, but not the old list. What the adoption has made is there.
TEST_P(Migrations, AnAdoptedDatabaseWithoutItsRecordIsNotAdoptedAgain) {
  storage_.own.Run("CREATE TABLE a (id BIGINT NOT NULL PRIMARY KEY)");
  storage_.own.Run(
      "CREATE TABLE schema_migrations (number BIGINT NOT NULL PRIMARY KEY, name VARCHAR(200) NOT NULL, "
      "checksum VARCHAR(64) NOT NULL, apply_time BIGINT NOT NULL)");
  storage_.own.Run("INSERT INTO schema_migrations VALUES (1, 'first', 'abc', 0)");
  db::Schema schema{{{"part", {kFirst}}, {"more", {kTables}}}, {}};
  const std::string checksum = db::ChecksumOfAll({{1, "abc"}});
  schema.adoption = {1, checksum, checksum, {"part"}, {1, "0001_adopted", "INSERT INTO a (id) VALUES (9);\n"}};
  EXPECT_THAT(db::Migrate(storage_.database, TestCall(), schema), IsOk());
  storage_.own.Run("DROP TABLE schema_components");
  const absl::Status status = db::Migrate(storage_.database, TestCall(), schema);
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("is recorded: b, c;"));
  EXPECT_EQ(Ids(), (Rows{{"9"}}));
}

// A database of the release before has the tables already, and records its migrations in one list, schema_migrations.
TEST_P(Migrations, ADatabaseOfTheReleaseBeforeIsAdoptedOnce) {
  storage_.own.Run("CREATE TABLE a (id BIGINT NOT NULL PRIMARY KEY)");
  storage_.own.Run("INSERT INTO a (id) VALUES (1)");
  storage_.own.Run(
      "CREATE TABLE schema_migrations (number BIGINT NOT NULL PRIMARY KEY, name VARCHAR(200) NOT NULL, "
      "checksum VARCHAR(64) NOT NULL, apply_time BIGINT NOT NULL)");
  storage_.own.Run("INSERT INTO schema_migrations VALUES (1, 'first', 'abc', 0)");
  db::Schema schema = Of({kFirst, kSecond});
  schema.adoption = {1, "another", "another", {"part"}, {1, "0001_adopted", "INSERT INTO a (id) VALUES (9);\n"}};

  const absl::Status refused = db::Migrate(storage_.database, TestCall(), schema);
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("another release"));
  EXPECT_EQ(Ids(), (Rows{{"1"}}));
  EXPECT_THAT(std::string(db::CheckSchema(storage_.database, TestCall(), schema).message()),
              HasSubstr("run `migrate`"));

  schema.adoption.sqlite_checksum = schema.adoption.mysql_checksum = db::ChecksumOfAll({{1, "abc"}});
  for (int i = 0; i < 2; ++i) EXPECT_THAT(db::Migrate(storage_.database, TestCall(), schema), IsOk());
  EXPECT_EQ(Ids(), (Rows{{"1"}, {"2"}, {"3"}, {"9"}})) << "the first one is there, the second and the adoption are not";
  EXPECT_THAT(db::CheckSchema(storage_.database, TestCall(), schema), IsOk());
}

TEST_P(Migrations, ANewDatabaseHasNothingToAdopt) {
  db::Schema schema = Of({kFirst});
  schema.adoption = {1, "x", "x", {"part"}, {1, "0001_adopted", "INSERT INTO a (id) VALUES (9);\n"}};
  EXPECT_THAT(db::CheckSchema(storage_.database, TestCall(), schema).code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(db::Migrate(storage_.database, TestCall(), schema), IsOk());
  EXPECT_EQ(Ids(), (Rows{{"1"}}));
  EXPECT_THAT(db::CheckSchema(storage_.database, TestCall(), schema), IsOk());
}

TEST(SchemaText, WritesTheTokensForBothKindsOfDatabase) {
  const std::string text =
      "-- A comment; with a semicolon.\nCREATE TABLE IF NOT EXISTS t (\n  id {counter},\n  name {text 50} NOT NULL,\n"
      "  {unique t_by_name (name, id)},\n  {index t_by_id (id)}\n) {table};\n";
  EXPECT_THAT(*db::SchemaStatements(text, db::Dialect::kSqlite),
              ElementsAreArray({"CREATE TABLE IF NOT EXISTS t ( id INTEGER PRIMARY KEY AUTOINCREMENT, "
                                "name TEXT NOT NULL )  ",
                                "CREATE UNIQUE INDEX t_by_name ON t (name, id)", "CREATE INDEX t_by_id ON t (id)"}));
  EXPECT_THAT(*db::SchemaStatements(text, db::Dialect::kMysql),
              ElementsAreArray({"CREATE TABLE IF NOT EXISTS t ( id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, "
                                "name VARCHAR(50) CHARACTER SET utf8mb4 NOT NULL, UNIQUE KEY t_by_name (name, id), "
                                "KEY t_by_id (id) ) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 "}));
  EXPECT_EQ(db::SchemaStatements("INSERT INTO a {nonsense};\n", db::Dialect::kMysql).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(db::SchemaStatements("INSERT INTO a", db::Dialect::kSqlite).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace crosskey::testing
