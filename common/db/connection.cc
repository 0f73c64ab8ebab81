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
  return result;
}

absl::StatusOr<int64_t> Connection::ExecuteRows(const Sql& sql, const std::vector<std::vector<Argument>>& rows) {
  const bool few = !rows.empty() && rows.size() * rows.front().size() <= kKeptValues;
  int64_t changed = 0;
  for (size_t done = 0; done == 0 || done < rows.size();) {
    const size_t part = few ? PartLength(rows.size() - done) : rows.size();
    const auto begin = rows.begin() + static_cast<ptrdiff_t>(done);
    CROSSKEY_ASSIGN_OR_RETURN(
        const Result result,
        Change(sql, RenderRows(sql, dialect_, std::vector(begin, begin + static_cast<ptrdiff_t>(part)))));
    changed += result.changed;
    done += std::max<size_t>(part, 1);
  }
  return changed;
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
