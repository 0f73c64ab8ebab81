// The text of a migration, written once for both kinds of database.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/db/sql.h"

namespace crosskey::db {

// Returns the statements of a migration as the dialect writes them. Where the dialects differ, the text has a token:
//   {counter}           type of a primary key that the database counts up; it never gives a number twice
//   {row_id}            type of a primary key whose value the INSERT gives
//   {uuid} {ascii N}    texts of ASCII, compared byte by byte
//   {text N}            a text of at most N characters
//   {bytes N} {blob}    bytes
//   {index NAME (COLUMNS)}, {unique NAME (COLUMNS)}
//                       an index; these are the last lines of a CREATE TABLE. On MySQL they become part of that
//                       statement, because a migration that was interrupted there is begun again. On SQLite they become
//                       statements of their own.
//   {table}             end of a CREATE TABLE
//   {keep COLUMN}       end of an INSERT: a row that has the same value in this column, the key, stays as it is
// Everything else is SQL that both dialects understand: CREATE TABLE IF NOT EXISTS, BIGINT, REPLACE INTO.
// INVALID_ARGUMENT: the last statement has no semicolon at the end of its line, or a token is not known.
absl::StatusOr<std::vector<std::string>> SchemaStatements(const std::string& text, Dialect dialect);

// The names of the tables that these statements create.
std::vector<std::string> CreatedTables(const std::vector<std::string>& statements);

}  // namespace crosskey::db
