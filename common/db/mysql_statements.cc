#include "common/db/mysql_statements.h"

#include "common/db/sql_error.h"
#include "common/status/macros.h"

namespace crosskey::db {
namespace {

// Room for a text that is read with its row. A longer one is read again, into room of its size.
constexpr size_t kRoom = 512;

absl::Status Error(const std::string& name, MYSQL_STMT* statement, unsigned int& error) {
  error = mysql_stmt_errno(statement);
  return MysqlError(error, name, mysql_stmt_error(statement));
}

// The values as the driver wants them. They must outlive the execution.
std::vector<MYSQL_BIND> BindsOf(const Rendered& rendered) {
  std::vector<MYSQL_BIND> binds(rendered.values.size());  // all zero
  for (size_t i = 0; i < binds.size(); ++i) {
    MYSQL_BIND& bind = binds[i];
    if (const auto* integer = std::get_if<int64_t>(&rendered.values[i])) {
      bind.buffer_type = MYSQL_TYPE_LONGLONG;
      bind.buffer = const_cast<int64_t*>(integer);
    } else if (const auto* text = std::get_if<std::string>(&rendered.values[i])) {
      // What is sent as a BLOB has no character set, so the server takes any bytes.
      bind.buffer_type = rendered.IsBytes(i) ? MYSQL_TYPE_BLOB : MYSQL_TYPE_STRING;
      bind.buffer = const_cast<char*>(text->data());
      bind.buffer_length = text->size();
    } else {
      bind.buffer_type = MYSQL_TYPE_NULL;
    }
  }
  return binds;
}

// The row that is being read.
class Row {
 public:
  explicit Row(const std::vector<bool>& is_text) : cells_(is_text.size()), binds_(is_text.size()) {
    for (size_t i = 0; i < cells_.size(); ++i) {
      MYSQL_BIND& bind = binds_[i];
      Cell& cell = cells_[i];
      if (is_text[i]) {
        cell.text.resize(kRoom);
        bind.buffer_type = MYSQL_TYPE_STRING;
        bind.buffer = cell.text.data();
        bind.buffer_length = cell.text.size();
      } else {
        bind.buffer_type = MYSQL_TYPE_LONGLONG;
        bind.buffer = &cell.integer;
      }
      bind.length = &cell.length;
      bind.is_null = &cell.is_null;
      bind.error = &cell.truncated;
    }
  }
  Row(const Row&) = delete;
  Row& operator=(const Row&) = delete;

  MYSQL_BIND* binds() { return binds_.data(); }

  // False: the driver has no more of a text. Only for a row that was fetched.
  bool Take(MYSQL_STMT* statement, std::vector<Value>& values) {
    values.reserve(cells_.size());
    for (size_t i = 0; i < cells_.size(); ++i) {
      const Cell& cell = cells_[i];
      if (cell.is_null != 0) {
        values.emplace_back(std::monostate());
      } else if (binds_[i].buffer_type == MYSQL_TYPE_LONGLONG) {
        values.emplace_back(cell.integer);
      } else if (cell.length <= kRoom) {
        values.emplace_back(cell.text.substr(0, cell.length));
      } else if (!TakeLong(statement, static_cast<unsigned int>(i), values)) {
        return false;
      }
    }
    return true;
  }

 private:
  struct Cell {
    int64_t integer = 0;
    std::string text;
    unsigned long length = 0;
    my_bool is_null = 0;
    my_bool truncated = 0;
  };

  bool TakeLong(MYSQL_STMT* statement, unsigned int position, std::vector<Value>& values) {
    std::string text(cells_[position].length, '\0');
    unsigned long length = 0;
    my_bool is_null = 0, truncated = 0;
    MYSQL_BIND bind{};
    bind.buffer_type = MYSQL_TYPE_STRING;
    bind.buffer = text.data();
    bind.buffer_length = text.size();
    bind.length = &length;
    bind.is_null = &is_null;
    bind.error = &truncated;
    if (mysql_stmt_fetch_column(statement, &bind, position, 0) != 0) return false;
    values.emplace_back(std::move(text));
    return true;
  }

  std::vector<Cell> cells_;
  std::vector<MYSQL_BIND> binds_;
};

// What an execution has left for the client. On every path it has to go before the statement is run again.
class Results {
 public:
  explicit Results(MYSQL_STMT* statement) : statement_(statement) {}
  ~Results() {
    if (complete_) {
      // The driver lets go of the rows only if there is one that could be read next. Where there is none at all, the
      // seek would make it wait for rows that never come when the statement runs again.
      if (mysql_stmt_num_rows(statement_) > 0) mysql_stmt_data_seek(statement_, 0);
      mysql_stmt_free_result(statement_);
    } else {
      // A server may find a conflict only while it reads the rows, after it has announced them. If the result were
      // freed now, the driver would wait for rows that never come when the statement runs again.
      mysql_stmt_reset(statement_);
    }
  }
  Results(const Results&) = delete;
  Results& operator=(const Results&) = delete;

  // All rows have been fetched from the server.
  void set_complete() { complete_ = true; }

 private:
  MYSQL_STMT* const statement_;
  bool complete_ = false;
};

// Reads all rows. The whole result is fetched from the server first, so that the session is free for other statements.
absl::StatusOr<Result> ReadRows(const std::string& name, MYSQL_STMT* statement, const std::vector<bool>& is_text,
                                unsigned int& error) {
  Results results(statement);
  if (mysql_stmt_field_count(statement) != is_text.size()) {
    return MakeSqlError(SqlError::kOther, name, "another number of columns than expected");
  }
  Row row(is_text);
  if (mysql_stmt_bind_result(statement, row.binds()) != 0 || mysql_stmt_store_result(statement) != 0) {
    return Error(name, statement, error);
  }
  results.set_complete();
  Result result;
  result.rows.reserve(mysql_stmt_num_rows(statement));
  for (;;) {
    const int fetched = mysql_stmt_fetch(statement);
    if (fetched == MYSQL_NO_DATA) return result;
    // Truncated is what a text longer than the room for it is.
    if (fetched != 0 && fetched != MYSQL_DATA_TRUNCATED) return Error(name, statement, error);
    if (!row.Take(statement, result.rows.emplace_back())) return Error(name, statement, error);
  }
}

absl::StatusOr<Result> RunPrepared(const std::string& name, MYSQL_STMT* statement, const Rendered& rendered,
                                   const std::vector<bool>& is_text, unsigned int& error) {
  if (mysql_stmt_param_count(statement) != rendered.values.size()) {
    return MakeSqlError(SqlError::kOther, name, "another number of values than expected");
  }
  std::vector<MYSQL_BIND> binds = BindsOf(rendered);
  if (!binds.empty() && mysql_stmt_bind_param(statement, binds.data()) != 0) return Error(name, statement, error);
  if (mysql_stmt_execute(statement) != 0) return Error(name, statement, error);
  if (mysql_stmt_field_count(statement) > 0) return ReadRows(name, statement, is_text, error);
  Result result;
  result.changed = static_cast<int64_t>(mysql_stmt_affected_rows(statement));
  result.last_insert_id = static_cast<int64_t>(mysql_stmt_insert_id(statement));
  return result;
}

}  // namespace

absl::StatusOr<MysqlStatements::Statement> MysqlStatements::Prepare(const std::string& name, const std::string& text,
                                                                    unsigned int& error) {
  Statement prepared(mysql_stmt_init(connection_));
  if (prepared == nullptr) return MakeSqlError(SqlError::kLater, name, "no memory for a statement");
  if (mysql_stmt_prepare(prepared.get(), text.data(), text.size()) != 0) return Error(name, prepared.get(), error);
  return prepared;
}

absl::StatusOr<Result> MysqlStatements::RunOnce(const std::string& name, const Rendered& rendered,
                                                const std::vector<bool>& is_text, unsigned int& error) {
  if (const Statement* kept = kept_.Find(rendered.text)) {
    return RunPrepared(name, kept->get(), rendered, is_text, error);
  }
  CROSSKEY_ASSIGN_OR_RETURN(Statement prepared, Prepare(name, rendered.text, error));
  MYSQL_STMT* const statement = prepared.get();
  if (rendered.values.size() <= kKeptValues) kept_.Add(rendered.text, std::move(prepared));
  return RunPrepared(name, statement, rendered, is_text, error);
}

absl::StatusOr<Result> MysqlStatements::Run(const std::string& name, const Rendered& rendered,
                                            const std::vector<bool>& is_text) {
  unsigned int error = 0;
  absl::StatusOr<Result> result = RunOnce(name, rendered, is_text, error);
  if (result.ok() || !IsStatementLost(error)) return result;
  // The server has not run it. It may have too many statements, those of this session among them.
  kept_.Clear();
  return RunOnce(name, rendered, is_text, error);
}

}  // namespace crosskey::db
