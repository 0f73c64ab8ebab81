// Statements: named, with bound values, one text for both kinds of database.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

namespace crosskey::db {

enum class Dialect { kSqlite, kMysql };  // kMysql: MariaDB and MySQL 8 and 9

// A statement. The name labels metrics and logs: "users.get".
//
// In the text `?` stands for a value, and no `?` may stand anywhere else. For a list it is written `IN (?)` and expands
// to the next of a few lengths (1, 2, 4, 8 and so on), filled up with the last element, so that the same few statements
// serve lists of every length. Where the dialects differ, the text has a token:
//   {share} {update}  trailing lock clause of a SELECT; empty on SQLite, where a write transaction excludes all others
//   {share_free} {update_free}  the same, but rows that another transaction has locked are left out; MariaDB before
//                     10.6 waits for them, so a statement must not rely on it
//   {binary}          before a `?` that holds bytes instead of text; without a space between them
//   {now_us}          the database's clock, in microseconds since 1970
//   {then}            instead of JOIN: the tables are read in this order
//   {by INDEX}        after a table: it is read by this index
//   {by_id}           the same for its primary key `id`; empty on SQLite. MariaDB then estimates no other index, which
//                     takes as long as reading a few rows; SQLite plans only once for each prepared statement
//   {keep_existing}   end of an INSERT: a row with the same `id` stays as it is (the row count does not tell whether
//                     there was one)
//   {keep_named}      the same for a row with the same `name`
//   {count_writes}    the same, but 1 is added to its column `writes`
//   {returning id, uid}  end of an INSERT: it returns these columns of each row, in any order, if the server can do
//                     that (MariaDB from 10.5 on, SQLite)
class Sql {
 public:
  Sql(std::string name, std::string text);

  std::string name;
  std::string text;

  // The text without tokens. They are replaced once, because that takes longer than the rest of Render.
  const std::string& In(Dialect dialect) const { return in_[static_cast<size_t>(dialect)]; }

 private:
  std::string in_[2];  // by dialect
};

using Value = std::variant<std::monostate, int64_t, std::string>;

// A value, or a list of values, that can be passed for a `?`.
class Argument {
 public:
  Argument(int64_t v) : values_{Value(v)} {}                     // NOLINT: implicit on purpose
  Argument(int v) : values_{Value(static_cast<int64_t>(v))} {}   // NOLINT
  Argument(bool v) : values_{Value(static_cast<int64_t>(v))} {}  // NOLINT
  Argument(const char* v) : values_{Value(std::string(v))} {}    // NOLINT
  Argument(std::string v) : values_{Value(std::move(v))} {}      // NOLINT
  Argument(std::optional<int64_t> v) : values_(1) {              // NOLINT
    if (v.has_value()) values_.front() = *v;
  }
  Argument(const std::vector<int64_t>& v) : values_(v.begin(), v.end()) {}      // NOLINT
  Argument(const std::vector<std::string>& v) : values_(v.begin(), v.end()) {}  // NOLINT
  // Enums: ids (common/status/ids.h) and states.
  template <typename Enum, typename = std::enable_if_t<std::is_enum_v<Enum>>>
  Argument(Enum v) : Argument(static_cast<int64_t>(v)) {}  // NOLINT
  template <typename Enum, typename = std::enable_if_t<std::is_enum_v<Enum>>>
  Argument(std::optional<Enum> v) : values_(1) {  // NOLINT
    if (v.has_value()) values_.front() = static_cast<int64_t>(*v);
  }
  template <typename Enum, typename = std::enable_if_t<std::is_enum_v<Enum>>>
  Argument(const std::vector<Enum>& v) {  // NOLINT
    values_.reserve(v.size());
    for (const Enum each : v) values_.emplace_back(static_cast<int64_t>(each));
  }

  const std::vector<Value>& values() const { return values_; }

 private:
  std::vector<Value> values_;
};

// A statement with its values, in the order of the `?` in its text.
struct Rendered {
  std::string text;
  std::vector<Value> values;
  std::vector<size_t> bytes;  // the positions of the values that are bytes, ascending

  bool IsBytes(size_t position) const { return std::binary_search(bytes.begin(), bytes.end(), position); }
};

// The length that a list of this length is filled up to: a power of two, or 0.
size_t PaddedLength(size_t length);
// The largest power of two up to `length`, which is at least 1.
size_t PartLength(size_t length);

// Replaces the tokens and expands each `?`. Ends the process if the number of arguments is not the number of `?`, or
// there are more than 32,766 values, which is what SQLite takes: that is a mistake in the program, not in its input.
Rendered Render(const Sql& sql, Dialect dialect, const std::vector<Argument>& arguments);

// The same for an INSERT that ends with `VALUES (...)` and perhaps {keep_existing} or {keep_named}: the group in
// parentheses is repeated for each row. Also ends the process if there is no row.
Rendered RenderRows(const Sql& sql, Dialect dialect, const std::vector<std::vector<Argument>>& rows);

}  // namespace crosskey::db
