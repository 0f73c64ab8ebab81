// A session with MariaDB and its prepared statements, with nothing between the program and the C library.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include <mysql.h>

namespace crosskey::benchmark {

struct Database {
  unsigned port = 3306;
  std::string user;
  std::string name;
};

// A transaction lost against another one: the server has rolled it back, and it can be done again.
struct Deadlock : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// All throw std::runtime_error with the text of the server. Not for several threads at a time.
class Session {
 public:
  explicit Session(const Database& database);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void Execute(const std::string& sql);
  MYSQL* get() { return session_; }

 private:
  MYSQL* session_;
};

class Statement {
 public:
  using Argument = std::variant<int64_t, std::string>;

  Statement(Session& session, const std::string& sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Returns the number of rows that came back, after it has read all of them; 0 for a statement without rows.
  int Execute(const std::vector<Argument>& arguments);
  int64_t insert_id() { return static_cast<int64_t>(mysql_stmt_insert_id(statement_)); }

 private:
  // The columns of posts fit.
  static constexpr unsigned long kColumnBytes = 4096;

  [[noreturn]] void Throw() const;
  void BindColumns();

  MYSQL_STMT* statement_;
  std::vector<MYSQL_BIND> columns_;
  std::vector<std::vector<char>> buffers_;
  std::vector<unsigned long> lengths_;
};

}  // namespace crosskey::benchmark
