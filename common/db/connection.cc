#include "common/db/connection.h"

#include <algorithm>

#include <soci/soci.h>

#include "common/db/sql_error.h"
#include "common/db/statement_counts.h"

namespace crosskey::db {
absl::Status Connection::Before(const Sql& sql, Rendered& rendered) {
  return seam_.before ? seam_.before(*this, sql, rendered) : absl::OkStatus();
}

void Connection::After(const Sql& sql, const Rendered& rendered, int64_t rows) {
  if (counts_ != nullptr) counts_->Count(sql.name, rows);
  if (seam_.after) seam_.after(sql, rendered, rows);
}

absl::StatusOr<std::vector<Connection::Row>> Connection::Fetch(const Sql& sql, Rendered rendered,
                                                               const std::vector<bool>& is_text) {
  CROSSKEY_RETURN_IF_ERROR(Before(sql, rendered));
  CROSSKEY_ASSIGN_OR_RETURN(Result result, statements_.Run(sql.name, rendered, is_text));
  After(sql, rendered, static_cast<int64_t>(result.rows.size()));
  return std::move(result.rows);
}

absl::StatusOr<Result> Connection::Change(const Sql& sql, Rendered rendered) {
  CROSSKEY_RETURN_IF_ERROR(Before(sql, rendered));
  CROSSKEY_ASSIGN_OR_RETURN(Result result, statements_.Run(sql.name, rendered, {}));
  After(sql, rendered, result.changed);
  has_changed_ = true;
  return result;
}

// Up to so many rows each number of rows has a statement of its own.
constexpr size_t kRowsAtOnce = 16;

absl::Status Connection::InParts(const std::vector<std::vector<Argument>>& rows,
                                 absl::FunctionRef<absl::Status(const std::vector<std::vector<Argument>>&)> insert) {
  const bool few = !rows.empty() && rows.size() * rows.front().size() <= kKeptValues;
  if (!few) return insert(rows);
  for (auto begin = rows.begin(); begin != rows.end();) {
    const auto left = static_cast<size_t>(rows.end() - begin);
    const auto end = begin + static_cast<ptrdiff_t>(left <= kRowsAtOnce ? left : PartLength(left));
    CROSSKEY_RETURN_IF_ERROR(insert(std::vector(begin, end)));
    begin = end;
  }
  return absl::OkStatus();
}

absl::Status Connection::Command(const std::string& name, const std::string& text) {
  const Sql sql{name, text};
  Rendered rendered{text, {}, {}};
  CROSSKEY_RETURN_IF_ERROR(Before(sql, rendered));
  try {
    session_.once << rendered.text;
  } catch (...) {
    return StatusOfCurrentException(name);
  }
  After(sql, rendered, 0);
  return absl::OkStatus();
}

}  // namespace crosskey::db
