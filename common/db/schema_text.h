// The text of a migration, written once for both kinds of database.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/db/sql.h"

namespace crosskey::db {

// The statements of a migration as the dialect writes them. What the dialects say differently stands in the text as a token:
//   {counter}           type of a primary key that the database counts up, and never uses again
//   {row_id}            type of a primary key that is given
//   {uuid} {ascii N}    texts of ASCII, compared byte by byte
//   {text N}            a text of at most N characters
//   {bytes N} {blob}    bytes
//   {index NAME (COLUMNS)}, {unique NAME (COLUMNS)}   the last lines of a CREATE TABLE: part of that statement on MySQL, where a
//                       migration that was interrupted is begun again, and statements of their own on SQLite
//   {table}             end of a CREATE TABLE
//   {keep COLUMN}       end of an INSERT: a row with the same key, which is this column, stays as it is
// Everything else is SQL that both understand: CREATE TABLE IF NOT EXISTS, BIGINT, REPLACE INTO. INVALID_ARGUMENT: the last
// statement has no semicolon at the end of its line, or a token is not known.
absl::StatusOr<std::vector<std::string>> SchemaStatements(const std::string& text, Dialect dialect);

}  // namespace crosskey::db
