// db::Connection: every value that goes into a database comes out of it the same.
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/conformance/storage.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::FieldsAre;
using ::testing::IsEmpty;

const db::Sql kInsertNumber{"numbers.insert", "INSERT INTO numbers (n) VALUES (?)"};
const db::Sql kInsertText{"texts.insert", "INSERT INTO texts (t) VALUES (?)"};
const db::Sql kInsertBytes{"bytes.insert", "INSERT INTO bytes (b) VALUES ({binary}?)"};
const db::Sql kIdsOf{"items.ids_of", "SELECT id FROM items WHERE name IN (?) ORDER BY id"};

class DbValues : public DatabaseTest {
 protected:
  DbValues() : storage_(GetParam()) {
    if (storage_.own.is_sqlite()) {
      storage_.own.Run(
          "CREATE TABLE numbers (id INTEGER PRIMARY KEY, n INTEGER);"
          "CREATE TABLE texts (id INTEGER PRIMARY KEY, t TEXT);"
          "CREATE TABLE bytes (id INTEGER PRIMARY KEY, b BLOB)");
    } else {
      storage_.own.Run(
          "CREATE TABLE numbers (id BIGINT AUTO_INCREMENT PRIMARY KEY, n BIGINT);"
          "CREATE TABLE texts (id BIGINT AUTO_INCREMENT PRIMARY KEY, t TEXT CHARACTER SET utf8mb4);"
          "CREATE TABLE bytes (id BIGINT AUTO_INCREMENT PRIMARY KEY, b MEDIUMBLOB)");
    }
  }

  void InTransaction(const std::function<absl::Status(db::Tx&)>& body) {
    EXPECT_THAT(storage_.database.Transact(TestCall(), "test", body), IsOk());
  }

  // Inserts each value and reads all of them back.
  template <typename Column, typename Value>
  std::vector<Column> Back(const db::Sql& insert, const db::Sql& select, const std::vector<Value>& values) {
    std::vector<Column> back;
    InTransaction([&](db::Tx& tx) -> absl::Status {
      back.clear();
      for (const Value& value : values) CROSSKEY_RETURN_IF_ERROR(tx.Insert(insert, value).status());
      CROSSKEY_ASSIGN_OR_RETURN(const auto rows, tx.Query<Column>(select));
      for (const auto& [value] : rows) back.push_back(value);
      return absl::OkStatus();
    });
    return back;
  }

  Storage storage_;
};
CROSSKEY_ON_EVERY_DATABASE(DbValues);

TEST_P(DbValues, KeepsNumbersOf64Bits) {
  using Limits = std::numeric_limits<int64_t>;
  const std::vector<int64_t> numbers = {
      0, -1, (1LL << 31) - 1, 1LL << 31, (1LL << 32) + 1, -(1LL << 33), Limits::max(), Limits::min()};
  EXPECT_EQ(Back<int64_t>(kInsertNumber, {"numbers.all", "SELECT n FROM numbers ORDER BY id"}, numbers), numbers);
}

TEST_P(DbValues, TellsNullFromZeroAndFromAnEmptyText) {
  const std::vector<std::optional<int64_t>> numbers = {std::nullopt, 0, 7};
  EXPECT_EQ(Back<std::optional<int64_t>>(kInsertNumber, {"numbers.all", "SELECT n FROM numbers ORDER BY id"}, numbers),
            numbers);
  const db::Sql select{"texts.all", "SELECT t FROM texts ORDER BY id"};
  const auto texts = Back<std::optional<std::string>>(kInsertText, select, std::vector<std::string>{""});
  EXPECT_THAT(texts, ElementsAre(std::optional<std::string>("")));
  const auto nulls = Back<std::optional<std::string>>(kInsertText, select, std::vector{std::optional<int64_t>()});
  EXPECT_THAT(nulls, ElementsAre("", std::nullopt));
}

TEST_P(DbValues, ReadsNullIntoAPlainVariableAsZeroOrEmpty) {
  Back<int64_t>(kInsertNumber, {"numbers.all", "SELECT n FROM numbers"}, std::vector{std::optional<int64_t>()});
  InTransaction([](db::Tx& tx) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const auto row,
                              (tx.QueryOne<int64_t, std::string>({"numbers.both", "SELECT n, n FROM numbers"})));
    EXPECT_THAT(*row, FieldsAre(0, ""));
    return absl::OkStatus();
  });
}

TEST_P(DbValues, KeepsTextsThatLookLikeSql) {
  const std::vector<std::string> texts = {
      "",
      "'",
      "''; DROP TABLE texts; --",
      "\"",
      "`",
      "\\",
      "\\'",
      "ends in \\",
      "%_\\%",
      ":name and :v0",
      "? {binary} {share}",
      "-- comment",
      "/* comment */ # comment",
      "line\r\nfeed\ttab",
      "  blanks around  ",
      "0",
      "NULL",
      "Grüße, Łódź, 東京, 👩‍👩‍👧 🏳️‍🌈",
      "e\xCC\x81 and \xC3\xA9",
      std::string(65535, 'x'),
      std::string(21845, '\'') + "\xE2\x82\xAC",
  };
  EXPECT_EQ(Back<std::string>(kInsertText, {"texts.all", "SELECT t FROM texts ORDER BY id"}, texts), texts);
}

TEST_P(DbValues, KeepsArbitraryBytes) {
  std::string every;
  for (int i = 0; i < 256; ++i) every.push_back(static_cast<char>(i));
  const std::vector<std::string> bytes = {
      std::string("\0", 1),       std::string("a\0b\0", 4), every,
      every + "'" + every + "\\", "\xFF\xFE\xC0\x80",       std::string("\0'; DROP--", 10)};
  EXPECT_EQ(Back<std::string>(kInsertBytes, {"bytes.all", "SELECT b FROM bytes ORDER BY id"}, bytes), bytes);
}

TEST_P(DbValues, RefusesATextThatDoesNotFitInsteadOfCuttingIt) {
  if (storage_.own.is_sqlite()) return;  // there a text has no maximum length
  const absl::Status status = storage_.database.Transact(
      TestCall(), "test", [](db::Tx& tx) { return tx.Insert(kInsertText, std::string(65536, 'x')).status(); });
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(storage_.own.Number("SELECT COUNT(*) FROM texts"), 0);
}

TEST_P(DbValues, ExpandsLists) {
  InTransaction([](db::Tx& tx) -> absl::Status {
    CROSSKEY_RETURN_IF_ERROR(tx.ExecuteRows(kInsertItem, {{"a"}, {"it's"}, {"c"}, {":d"}}).status());
    const auto texts = tx.Query<int64_t>(kIdsOf, std::vector<std::string>{":d", "it's", "missing"});
    EXPECT_THAT(texts.value(), ElementsAre(FieldsAre(2), FieldsAre(4)));
    const auto none = tx.Query<int64_t>(kIdsOf, std::vector<std::string>());
    EXPECT_THAT(none.value(), IsEmpty());
    const auto mixed =
        tx.Query<std::string>({"items.mixed", "SELECT name FROM items WHERE id > ? AND id IN (?) AND name <> ?"}, 1,
                              std::vector<int64_t>{1, 2, 3}, "c");
    EXPECT_THAT(mixed.value(), ElementsAre(FieldsAre("it's")));
    return absl::OkStatus();
  });
}

TEST_P(DbValues, InsertsManyRowsByOneStatement) {
  InTransaction([](db::Tx& tx) -> absl::Status {
    std::vector<std::vector<db::Argument>> rows;
    for (int i = 1; i <= 1000; ++i) rows.push_back({i, "n" + std::to_string(i)});
    EXPECT_EQ(tx.ExecuteRows({"items.rows", "INSERT INTO items (id, name) VALUES (?, ?)"}, rows).value(), 1000);
    // A row that is there already stays, and the others come in.
    EXPECT_THAT(tx.ExecuteRows({"items.missing", "INSERT INTO items (id, name) VALUES (?, ?) {keep_existing}"},
                               {{1000, "other"}, {1001, "new"}}),
                IsOk());
    return absl::OkStatus();
  });
  EXPECT_EQ(storage_.own.Number("SELECT COUNT(*) FROM items WHERE name = 'n1000' OR name = 'new'"), 2);
  EXPECT_EQ(storage_.own.Number("SELECT COUNT(*) FROM items"), 1001);
}

TEST_P(DbValues, CountsTheRowsThatMatchAlsoWhenNothingChanges) {
  InTransaction([](db::Tx& tx) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const int64_t id, tx.Insert(kInsertItem, "a"));
    EXPECT_EQ(tx.Execute(kRenameItem, "a", id).value(), 1);
    EXPECT_EQ(tx.Execute(kRenameItem, "a", id + 1).value(), 0);
    return absl::OkStatus();
  });
}

TEST_P(DbValues, GivesTheIdOfAnInsertedRow) {
  storage_.own.Run("INSERT INTO items (id, name) VALUES (5000000000, 'x')");
  InTransaction([](db::Tx& tx) {
    EXPECT_EQ(tx.Insert(kInsertItem, "a").value(), 5000000001);
    EXPECT_EQ(tx.Insert(kInsertItem, "b").value(), 5000000002);
    return absl::OkStatus();
  });
}

TEST_P(DbValues, NeverGivesAnIdTwice) {
  InTransaction([](db::Tx& tx) {
    EXPECT_EQ(tx.Insert(kInsertItem, "a").value(), 1);
    EXPECT_EQ(tx.Execute({"items.clear", "DELETE FROM items"}).value(), 1);
    EXPECT_EQ(tx.Insert(kInsertItem, "b").value(), 2);
    return absl::OkStatus();
  });
}

TEST_P(DbValues, NoRowIsNoError) {
  InTransaction([](db::Tx& tx) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const auto row,
                              (tx.QueryOne<int64_t, std::string>({"items.none", "SELECT id, name FROM items"})));
    EXPECT_FALSE(row.has_value());
    return absl::OkStatus();
  });
}

}  // namespace
}  // namespace crosskey::testing
