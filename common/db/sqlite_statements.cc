#include "common/db/sqlite_statements.h"

#include <soci/sqlite3/soci-sqlite3.h>

#include "common/db/sql_error.h"
#include "common/status/macros.h"

namespace crosskey::db {
namespace {

using namespace sqlite_api;  // SOCI includes sqlite3.h in this namespace

// Ends a run of a statement on every path: one that is not reset keeps its lock. The values are let go as well, because
// they may be large and belong to the caller.
class Run {
 public:
  explicit Run(sqlite3_stmt* statement) : statement_(statement) {}
  ~Run() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

 private:
  sqlite3_stmt* const statement_;
};

// The value must outlive the run: SQLite does not copy it.
int Bind(sqlite3_stmt* statement, int position, const Value& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return sqlite3_bind_int64(statement, position, *integer);
  if (const auto* text = std::get_if<std::string>(&value)) {
    return sqlite3_bind_text64(statement, position, text->data(), text->size(), SQLITE_STATIC, SQLITE_UTF8);
  }
  return sqlite3_bind_null(statement, position);
}

Value Column(sqlite3_stmt* statement, int position, bool is_text) {
  if (sqlite3_column_type(statement, position) == SQLITE_NULL) return std::monostate();
  if (!is_text) return static_cast<int64_t>(sqlite3_column_int64(statement, position));
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, position));
  return std::string(text == nullptr ? "" : text, static_cast<size_t>(sqlite3_column_bytes(statement, position)));
}

}  // namespace

void SqliteStatements::Finalize::operator()(sqlite_api::sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

absl::Status SqliteStatements::Error(const std::string& name, int result) const {
  return SqliteError(result, name, sqlite3_errmsg(connection_));
}

absl::StatusOr<SqliteStatements::Statement> SqliteStatements::Prepare(const std::string& name,
                                                                      const std::string& text) {
  sqlite3_stmt* prepared = nullptr;
  const int result = sqlite3_prepare_v3(connection_, text.data(), static_cast<int>(text.size()),
                                        SQLITE_PREPARE_PERSISTENT, &prepared, nullptr);
  if (result != SQLITE_OK) return Error(name, result);
  return Statement(prepared);
}

absl::StatusOr<Result> SqliteStatements::RunPrepared(const std::string& name, sqlite3_stmt* statement,
                                                     const std::vector<Value>& values,
                                                     const std::vector<bool>& is_text) {
  const class Run run(statement);
  for (size_t i = 0; i < values.size(); ++i) {
    const int bound = Bind(statement, static_cast<int>(i) + 1, values[i]);
    if (bound != SQLITE_OK) return Error(name, bound);
  }
  if (!is_text.empty() && sqlite3_column_count(statement) != static_cast<int>(is_text.size())) {
    return MakeSqlError(SqlError::kOther, name, "another number of columns than expected");
  }
  Result result;
  // A statement whose tables have changed is prepared anew by SQLite itself.
  int step = sqlite3_step(statement);
  for (; step == SQLITE_ROW; step = sqlite3_step(statement)) {
    if (is_text.empty()) continue;
    std::vector<Value>& row = result.rows.emplace_back();
    row.reserve(is_text.size());
    for (size_t i = 0; i < is_text.size(); ++i) {
      row.push_back(Column(statement, static_cast<int>(i), is_text[i]));
    }
  }
  if (step != SQLITE_DONE) return Error(name, step);
  result.changed = sqlite3_changes(connection_);
  result.last_insert_id = sqlite3_last_insert_rowid(connection_);
  return result;
}

absl::StatusOr<Result> SqliteStatements::Run(const std::string& name, const Rendered& rendered,
                                             const std::vector<bool>& is_text) {
  if (const Statement* kept = kept_.Find(rendered.text)) {
    return RunPrepared(name, kept->get(), rendered.values, is_text);
  }
  CROSSKEY_ASSIGN_OR_RETURN(Statement prepared, Prepare(name, rendered.text));
  sqlite3_stmt* const statement = prepared.get();
  if (rendered.values.size() > kKeptValues) return RunPrepared(name, statement, rendered.values, is_text);
  kept_.Add(rendered.text, std::move(prepared));
  return RunPrepared(name, statement, rendered.values, is_text);
}

}  // namespace crosskey::db
