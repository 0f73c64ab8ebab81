// The prepared statements of a session with SQLite.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/db/kept.h"
#include "common/db/statements.h"

// SOCI includes sqlite3.h in this namespace.
namespace sqlite_api {
struct sqlite3;
struct sqlite3_stmt;
}  // namespace sqlite_api

namespace crosskey::db {

class SqliteStatements final : public Statements {
 public:
  explicit SqliteStatements(sqlite_api::sqlite3* connection) : connection_(connection), kept_(kKeptStatements) {}

  absl::StatusOr<Result> Run(const std::string& name, const Rendered& rendered,
                             const std::vector<bool>& is_text) override;

 private:
  struct Finalize {
    void operator()(sqlite_api::sqlite3_stmt* statement) const;
  };
  using Statement = std::unique_ptr<sqlite_api::sqlite3_stmt, Finalize>;

  absl::StatusOr<Statement> Prepare(const std::string& name, const std::string& text);
  absl::StatusOr<Result> RunPrepared(const std::string& name, sqlite_api::sqlite3_stmt* statement,
                                     const std::vector<Value>& values, const std::vector<bool>& is_text);
  absl::Status Error(const std::string& name, int result) const;

  sqlite_api::sqlite3* const connection_;
  Kept<Statement> kept_;
};

}  // namespace crosskey::db
