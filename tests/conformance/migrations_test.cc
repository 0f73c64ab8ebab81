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
