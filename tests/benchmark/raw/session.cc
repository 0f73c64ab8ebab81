#include "tests/benchmark/raw/session.h"

#include <mysqld_error.h>

namespace crosskey::benchmark {
namespace {

[[noreturn]] void Raise(unsigned number, const std::string& text) {
  if (number == ER_LOCK_DEADLOCK) throw Deadlock(text);
  throw std::runtime_error(text);
}

}  // namespace

Session::Session(const Database& database) : session_(mysql_init(nullptr)) {
  if (mysql_real_connect(session_, "127.0.0.1", database.user.c_str(), nullptr, database.name.c_str(), database.port,
                         nullptr, 0) == nullptr) {
    const std::string error = mysql_error(session_);
    mysql_close(session_);
    throw std::runtime_error(error);
  }
  mysql_set_character_set(session_, "utf8mb4");
  Execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");  // that of the services
}

Session::~Session() { mysql_close(session_); }

void Session::Execute(const std::string& sql) {
  if (mysql_real_query(session_, sql.data(), sql.size()) != 0) Raise(mysql_errno(session_), mysql_error(session_));
  MYSQL_RES* result = mysql_store_result(session_);
  if (result != nullptr) mysql_free_result(result);
}

Statement::Statement(Session& session, const std::string& sql) : statement_(mysql_stmt_init(session.get())) {
  if (mysql_stmt_prepare(statement_, sql.data(), sql.size()) != 0) Throw();
  BindColumns();
}

Statement::~Statement() { mysql_stmt_close(statement_); }

void Statement::BindColumns() {
  const size_t count = mysql_stmt_field_count(statement_);
  columns_.resize(count);
  lengths_.resize(count);
  for (size_t i = 0; i < count; ++i) {
    buffers_.emplace_back(kColumnBytes);
    columns_[i] = {};
    columns_[i].buffer_type = MYSQL_TYPE_STRING;
    columns_[i].buffer = buffers_[i].data();
    columns_[i].buffer_length = kColumnBytes;
    columns_[i].length = &lengths_[i];
  }
}

int Statement::Execute(const std::vector<Argument>& arguments) {
  std::vector<MYSQL_BIND> bound(arguments.size());
  std::vector<int64_t> numbers(arguments.size());
  for (size_t i = 0; i < arguments.size(); ++i) {
    bound[i] = {};
    if (const auto* text = std::get_if<std::string>(&arguments[i])) {
      bound[i].buffer_type = MYSQL_TYPE_STRING;
      bound[i].buffer = const_cast<char*>(text->data());
      bound[i].buffer_length = text->size();
    } else {
      numbers[i] = std::get<int64_t>(arguments[i]);
      bound[i].buffer_type = MYSQL_TYPE_LONGLONG;
      bound[i].buffer = &numbers[i];
    }
  }
  if (mysql_stmt_bind_param(statement_, bound.data()) != 0 || mysql_stmt_execute(statement_) != 0) Throw();
  if (columns_.empty()) return 0;
  if (mysql_stmt_bind_result(statement_, columns_.data()) != 0 || mysql_stmt_store_result(statement_) != 0) Throw();
  int rows = 0;
  int status;
  while ((status = mysql_stmt_fetch(statement_)) == 0) ++rows;
  if (status != MYSQL_NO_DATA) Throw();
  mysql_stmt_free_result(statement_);
  return rows;
}

void Statement::Throw() const { Raise(mysql_stmt_errno(statement_), mysql_stmt_error(statement_)); }

}  // namespace crosskey::benchmark
