// common/db/tables.h: what every kind of database says about its tables.
#include "common/db/tables.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/db/schema_text.h"
#include "tests/conformance/storage.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr char kTables[] = R"(
CREATE TABLE parents (
  id {counter},
  name {text 20} NOT NULL,
  note {ascii 20}
) {table};
CREATE TABLE children (
  id {row_id},
  parent_id BIGINT NOT NULL,
  second_id BIGINT,
  state TINYINT,
  data {blob},
  FOREIGN KEY (parent_id) REFERENCES parents (id),
  FOREIGN KEY (second_id) REFERENCES parents (id) ON DELETE SET NULL,
  {index children_by_parent (parent_id, state)},
  {unique children_by_second (second_id, parent_id)}
) {table};
)";

class Tables : public DatabaseTest {
 protected:
  Tables() : storage_(GetParam()) {
    const auto dialect = storage_.own.is_sqlite() ? db::Dialect::kSqlite : db::Dialect::kMysql;
    const auto statements = db::SchemaStatements(kTables, dialect);
    EXPECT_THAT(statements, IsOk());
    for (const std::string& statement : *statements) storage_.own.Run(statement);
  }

  template <typename Read>
  auto Look(const Read& read) {
    auto result = storage_.database.Read(TestCall(), read);
    EXPECT_THAT(result, IsOk());
    return *std::move(result);
  }
  bool HasTable(const std::string& table) {
    return Look([&](db::Connection& connection) { return db::HasTable(connection, table); });
  }
  auto ColumnsOf(const std::string& table) {
    return Look([&](db::Connection& connection) { return db::ColumnsOf(connection, table); });
  }
  auto IndexedColumns(const std::string& table) {
    return Look([&](db::Connection& connection) { return db::IndexedColumns(connection, table); });
  }

  Storage storage_;
};
CROSSKEY_ON_EVERY_DATABASE(Tables);

TEST_P(Tables, AreThereOrNot) {
  EXPECT_TRUE(HasTable("children"));
  EXPECT_FALSE(HasTable("child"));
  EXPECT_FALSE(HasTable("children_by_parent")) << "an index is no table";
}

TEST_P(Tables, OfOtherDatabasesOfTheServerDoNotCount) {
  const TestDatabase other(GetParam());
  other.Run("CREATE TABLE elsewhere (id BIGINT NOT NULL PRIMARY KEY, parent_id BIGINT NOT NULL)");
  EXPECT_FALSE(HasTable("elsewhere"));
  EXPECT_THAT(ColumnsOf("elsewhere"), IsEmpty());
  EXPECT_THAT(IndexedColumns("elsewhere"), IsEmpty());
}

TEST_P(Tables, HaveColumnsWithTypesInLowerCaseAndWithoutALength) {
  auto columns = ColumnsOf("children");
  EXPECT_EQ(columns.size(), 5u);
  EXPECT_EQ(columns["id"], storage_.own.is_sqlite() ? "integer" : "bigint");
  EXPECT_EQ(columns["parent_id"], "bigint");
  EXPECT_EQ(columns["state"], "tinyint");
  EXPECT_EQ(columns["data"], storage_.own.is_sqlite() ? "blob" : "mediumblob");
  EXPECT_EQ(ColumnsOf("parents")["name"], storage_.own.is_sqlite() ? "text" : "varchar");
  EXPECT_THAT(ColumnsOf("nobody"), IsEmpty());
  // SQLite keeps the text of a type as it was written, so case and length have to be taken away.
  storage_.own.Run("CREATE TABLE written (a VARCHAR(20), b DECIMAL(3, 1))");
  EXPECT_EQ(ColumnsOf("written")["a"], "varchar");
  EXPECT_EQ(ColumnsOf("written")["b"], "decimal");
}

TEST_P(Tables, HaveForeignKeysWithTheirActions) {
  const auto keys = Look([](db::Connection& connection) { return db::ForeignKeys(connection); });
  std::vector<std::string> texts;
  for (const db::ForeignKey& key : keys) {
    // A foreign key without an action is RESTRICT for some databases and NO ACTION for others. Both act alike.
    const std::string action = key.on_delete == "RESTRICT" ? "NO ACTION" : key.on_delete;
    texts.push_back(key.table + "." + key.column + " " + key.parent_table + " " + action);
  }
  EXPECT_THAT(texts,
              UnorderedElementsAre("children.parent_id parents NO ACTION", "children.second_id parents SET NULL"));
}

TEST_P(Tables, HaveIndexesThatBeginWithAColumn) {
  auto columns = IndexedColumns("children");
  // Servers have an index for the primary key, SQLite has none for an integer key.
  columns.erase(std::remove(columns.begin(), columns.end(), "id"), columns.end());
  EXPECT_THAT(columns, UnorderedElementsAre("parent_id", "second_id"));
}

}  // namespace
}  // namespace crosskey::testing
