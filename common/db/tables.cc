#include "common/db/tables.h"

#include "absl/strings/ascii.h"

namespace crosskey::db {
namespace {

// A statement as each dialect writes it, in the order of Dialect.
struct ForBoth {
  Sql sqlite;
  Sql mysql;

  const Sql& Of(const Connection& connection) const {
    return connection.dialect() == Dialect::kSqlite ? sqlite : mysql;
  }
};

const Sql kTable{"tables.find", "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = ?"};
const ForBoth kTables{{"tables.among",
                       "SELECT LOWER(name) FROM sqlite_master WHERE type IN ('table', 'view') AND LOWER(name) IN (?) "
                       "ORDER BY 1 LIMIT 1000"},
                      {"tables.among",
                       "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND "
                       "table_name IN (?) ORDER BY 1 LIMIT 1000"}};
const ForBoth kColumns{{"tables.columns", "SELECT name, type FROM pragma_table_info(?)"},
                       {"tables.columns",
                        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = DATABASE() "
                        "AND table_name = ?"}};
const ForBoth kForeignKeys{
    {"tables.foreign_keys",
     "SELECT m.name, f.\"from\", f.\"table\", f.on_delete FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f "
     "WHERE m.type = 'table' LIMIT 1000"},
    {"tables.foreign_keys",
     "SELECT k.table_name, k.column_name, k.referenced_table_name, r.delete_rule FROM "
     "information_schema.key_column_usage k JOIN information_schema.referential_constraints r ON r.constraint_schema = "
     "k.constraint_schema AND r.constraint_name = k.constraint_name WHERE k.table_schema = DATABASE() AND "
     "k.referenced_table_name IS NOT NULL LIMIT 1000"}};
const ForBoth kIndexes{
    {"tables.indexes", "SELECT i.name FROM pragma_index_list(?) l JOIN pragma_index_info(l.name) i WHERE i.seqno = 0"},
    {"tables.indexes",
     "SELECT column_name FROM information_schema.statistics WHERE table_schema = DATABASE() AND "
     "table_name = ? AND seq_in_index = 1"}};

}  // namespace

// A server hides in its information_schema what the account may not use. A table that is only hidden must not look as
// if it had never been made, so a server is asked for the table itself.
absl::StatusOr<bool> HasTable(Connection& connection, const std::string& table) {
  if (connection.dialect() == Dialect::kSqlite) {
    CROSSKEY_ASSIGN_OR_RETURN(const auto row, connection.QueryOne<int64_t>(kTable, table));
    return row.has_value() && std::get<0>(*row) > 0;
  }
  const absl::Status found =
      connection.QueryOne<int64_t>({"tables.find", "SELECT 1 FROM " + table + " LIMIT 0"}).status();
  if (SqlErrorOf(found) == SqlError::kNoTable) return false;
  CROSSKEY_RETURN_IF_ERROR(found);
  return true;
}

absl::StatusOr<std::vector<std::string>> TablesAmong(Connection& connection, const std::vector<std::string>& names) {
  std::vector<std::string> found;
  if (names.empty()) return found;
  CROSSKEY_ASSIGN_OR_RETURN(auto rows, connection.Query<std::string>(kTables.Of(connection), names));
  for (auto& [name] : rows) found.push_back(std::move(name));
  return found;
}

absl::StatusOr<std::map<std::string, std::string>> ColumnsOf(Connection& connection, const std::string& table) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows,
                            (connection.Query<std::string, std::string>(kColumns.Of(connection), table)));
  std::map<std::string, std::string> columns;
  for (const auto& [name, type] : rows) columns[name] = absl::AsciiStrToLower(type.substr(0, type.find('(')));
  return columns;
}

absl::StatusOr<std::vector<ForeignKey>> ForeignKeys(Connection& connection) {
  CROSSKEY_ASSIGN_OR_RETURN(
      auto rows, (connection.Query<std::string, std::string, std::string, std::string>(kForeignKeys.Of(connection))));
  std::vector<ForeignKey> keys;
  for (auto& [table, column, parent, on_delete] : rows) {
    keys.push_back({std::move(table), std::move(column), std::move(parent), std::move(on_delete)});
  }
  return keys;
}

absl::StatusOr<std::vector<std::string>> IndexedColumns(Connection& connection, const std::string& table) {
  CROSSKEY_ASSIGN_OR_RETURN(auto rows, connection.Query<std::string>(kIndexes.Of(connection), table));
  std::vector<std::string> columns;
  for (auto& [name] : rows) columns.push_back(std::move(name));
  return columns;
}

}  // namespace crosskey::db
