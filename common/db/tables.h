// Looks up the tables of a database, with their columns, foreign keys and indexes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/db/connection.h"

namespace crosskey::db {

absl::StatusOr<bool> HasTable(Connection& connection, const std::string& table);

// Those of these names, in lower case, that a table or a view has; sorted. On SQLite `Users` counts as `users`.
absl::StatusOr<std::vector<std::string>> TablesAmong(Connection& connection, const std::vector<std::string>& names);

// The types of a table's columns by the names of the columns. A type is in lower case and without a length: "bigint",
// "varchar". Empty: no such table.
absl::StatusOr<std::map<std::string, std::string>> ColumnsOf(Connection& connection, const std::string& table);

// A foreign key of one column.
struct ForeignKey {
  std::string table;
  std::string column;
  std::string parent_table;
  std::string on_delete;  // "NO ACTION", "RESTRICT", "CASCADE", "SET NULL"
};

// All foreign keys of the database, in no order; at most 1,000.
absl::StatusOr<std::vector<ForeignKey>> ForeignKeys(Connection& connection);

// The first column of each index of the table.
absl::StatusOr<std::vector<std::string>> IndexedColumns(Connection& connection, const std::string& table);

}  // namespace crosskey::db
