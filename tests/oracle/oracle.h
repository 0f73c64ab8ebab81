// What the two services emulate: one SQLite database, in memory, with real foreign keys. SQLite decides what each
// operation does, and what it violates.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include <sqlite3.h>

#include "tests/oracle/operations.h"

namespace crosskey::testing {

class Oracle {
 public:
  Oracle();
  ~Oracle();
  Oracle(const Oracle&) = delete;
  Oracle& operator=(const Oracle&) = delete;

  struct Answer {
    // Which statuses the API may give: one, except where an operation violates several constraints at once, because SQL
    // does not say which of them is reported.
    std::set<std::string> statuses;
    bool ok() const { return statuses.count("OK") > 0; }
  };
  Answer Apply(const Operation& operation);

  // The rows of a query with one column.
  std::vector<std::string> Texts(const std::string& sql);
  std::vector<int64_t> Numbers(const std::string& sql);
  int64_t Number(const std::string& sql) { return Numbers(sql).front(); }
  bool HasUser(int64_t id);
  bool HasPost(int64_t id);
  Population Look();

 private:
  // Runs a statement. Returns the error that the API gives for the constraint that it violates; "": it succeeded.
  std::string Try(const std::string& sql);
  // Runs a statement, and ends the test program if it fails.
  void Run(const std::string& sql);
  // Adds what the statement violates by itself. Its effect is undone.
  void AddViolation(const std::string& sql, std::set<std::string>& to);
  // Runs an UPDATE or DELETE of one row. `if_missing`: the status if there is no such row; "": OK.
  Answer Change(const std::string& sql, const char* if_missing);
  Answer UpdateUser(const Operation& operation);
  Answer DeleteUser(const Operation& operation);
  Answer CreatePosts(const Operation& operation);

  sqlite3* database_ = nullptr;
};

// The text as a literal of SQL.
std::string Quoted(const std::string& text);

}  // namespace crosskey::testing
