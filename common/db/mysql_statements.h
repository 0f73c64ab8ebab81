// The prepared statements of a session with MariaDB or MySQL.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <mysql.h>

#include "common/db/kept.h"
#include "common/db/statements.h"

namespace crosskey::db {

class MysqlStatements final : public Statements {
 public:
  explicit MysqlStatements(MYSQL* connection) : connection_(connection), kept_(kKeptStatements) {}

  absl::StatusOr<Result> Run(const std::string& name, const Rendered& rendered,
                             const std::vector<bool>& is_text) override;

 private:
  struct Close {
    void operator()(MYSQL_STMT* statement) const { mysql_stmt_close(statement); }
  };
  using Statement = std::unique_ptr<MYSQL_STMT, Close>;

  absl::StatusOr<Result> RunOnce(const std::string& name, const Rendered& rendered, const std::vector<bool>& is_text,
                                 unsigned int& error);
  absl::StatusOr<Statement> Prepare(const std::string& name, const std::string& text, unsigned int& error);

  MYSQL* const connection_;
  Kept<Statement> kept_;
};

}  // namespace crosskey::db
