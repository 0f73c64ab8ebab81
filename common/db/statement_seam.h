// Lets a test act before and after each SQL statement of a service. In production both functions are empty; what a test
// does in them is not part of the product.
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "common/db/sql.h"

namespace crosskey::db {

class Connection;

// Both functions run on the thread that runs the statement; either may be empty.
struct StatementSeam {
  // Called before a statement runs. It may run other statements on the connection, and may change the text of this one.
  // If it returns an error, the statement does not run, and the error is its result.
  std::function<absl::Status(Connection&, const Sql&, Rendered&)> before;
  // Called after a statement has succeeded. `rows` is how many rows it returned (a query) or changed.
  std::function<void(const Sql&, const Rendered&, int64_t rows)> after;
};

}  // namespace crosskey::db
