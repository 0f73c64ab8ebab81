// Where a test takes hold of a service's SQL. In production there is none, and nothing of it lies in the product.
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "common/db/sql.h"

namespace crosskey::db {

class Connection;

// Both functions run on the thread that runs the statement; either may be empty.
struct StatementSeam {
  // Before a statement runs. It may run others on the connection, and may change the text. An error is the statement's result:
  // then it does not run.
  std::function<absl::Status(Connection&, const Sql&, Rendered&)> before;
  // After a statement has succeeded. `rows` are those returned by a query, else those changed.
  std::function<void(const Sql&, const Rendered&, int64_t rows)> after;
};

}  // namespace crosskey::db
