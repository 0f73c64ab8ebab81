#include "common/db/schema_text.h"

#include <regex>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace crosskey::db {
namespace {

// A token, and what each dialect writes for it. $1 and $2 are the groups of the pattern.
struct Token {
  const char* pattern;
  const char* sqlite;
  const char* mysql;
};

const Token kTokens[] = {
    {R"(\{counter\})", "INTEGER PRIMARY KEY AUTOINCREMENT", "BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY"},
    {R"(\{row_id\})", "INTEGER PRIMARY KEY", "BIGINT NOT NULL PRIMARY KEY"},
    {R"(\{uuid\})", "TEXT", "CHAR(36) CHARACTER SET ascii COLLATE ascii_bin"},
    {R"(\{ascii (\d+)\})", "TEXT", "VARCHAR($1) CHARACTER SET ascii COLLATE ascii_bin"},
    {R"(\{text (\d+)\})", "TEXT", "VARCHAR($1) CHARACTER SET utf8mb4"},
    {R"(\{bytes (\d+)\})", "TEXT", "VARBINARY($1)"},
    {R"(\{blob\})", "BLOB", "MEDIUMBLOB"},
    {R"(\{table\})", "", "ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4"},
    {R"(\{keep (\w+)\})", "ON CONFLICT ($1) DO NOTHING", "ON DUPLICATE KEY UPDATE $1 = $1"},
    // On SQLite TakeIndexes has already made statements of these.
    {R"(\{index (\w+) (\([^)]*\))\})", "", "KEY $1 $2"},
    {R"(\{unique (\w+) (\([^)]*\))\})", "", "UNIQUE KEY $1 $2"},
};

const std::regex& CreateTable() {
  static const std::regex pattern(R"(^CREATE TABLE (?:IF NOT EXISTS )?(\w+))");
  return pattern;
}

// Takes the indexes out of a CREATE TABLE. Returns the statements that make them.
std::vector<std::string> TakeIndexes(std::string& statement) {
  static const std::regex kIndex(R"(,\s*\{(index|unique) (\w+) (\([^)]*\))\})");
  std::smatch table;
  std::vector<std::string> indexes;
  if (!std::regex_search(statement, table, CreateTable())) return indexes;
  for (auto it = std::sregex_iterator(statement.begin(), statement.end(), kIndex); it != std::sregex_iterator(); ++it) {
    const std::smatch& index = *it;
    indexes.push_back(absl::StrCat("CREATE ", index[1] == "unique" ? "UNIQUE " : "", "INDEX ", index[2].str(), " ON ",
                                   table[1].str(), " ", index[3].str()));
  }
  statement = std::regex_replace(statement, kIndex, "");
  return indexes;
}

std::string ReplaceTokens(const std::string& text, Dialect dialect) {
  std::string out = text;
  for (const Token& token : kTokens) {
    out = std::regex_replace(out, std::regex(token.pattern), dialect == Dialect::kSqlite ? token.sqlite : token.mysql);
  }
  return out;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> SchemaStatements(const std::string& text, Dialect dialect) {
  std::vector<std::string> written(1);
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || absl::StartsWith(line, "--")) continue;
    const bool last = absl::ConsumeSuffix(&line, ";");
    absl::StrAppend(&written.back(), line, " ");
    if (last) written.emplace_back();
  }
  if (!written.back().empty()) return absl::InvalidArgumentError("the last statement has no semicolon");
  written.pop_back();
  std::vector<std::string> statements;
  for (std::string& statement : written) {
    const std::vector<std::string> indexes =
        dialect == Dialect::kSqlite ? TakeIndexes(statement) : std::vector<std::string>();
    statements.push_back(ReplaceTokens(statement, dialect));
    statements.insert(statements.end(), indexes.begin(), indexes.end());
    if (statements.back().find('{') != std::string::npos) {
      return absl::InvalidArgumentError("a token that is not known: " + statements.back());
    }
  }
  return statements;
}

std::vector<std::string> CreatedTables(const std::vector<std::string>& statements) {
  std::vector<std::string> tables;
  for (const std::string& statement : statements) {
    std::smatch table;
    if (std::regex_search(statement, table, CreateTable())) tables.push_back(table[1]);
  }
  return tables;
}

}  // namespace crosskey::db
