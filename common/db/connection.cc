#include "common/db/connection.h"

#include <deque>

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include "common/db/sql_error.h"
#include "common/db/statement_counts.h"

namespace crosskey::db {
namespace {

// A prepared SOCI statement with its bound values. SOCI keeps pointers to them, so they live in deques, which never
// move their elements.
class Prepared {
 public:
  Prepared(soci::session& session, const Rendered& rendered, const std::vector<bool>& is_text) : statement_(session) {
    for (const bool text : is_text) {
      auto& cell = cells_.emplace_back();
      // Read into scalars of 64 bits, because SOCI's own row type reads an SQLite INTEGER with 32 bits.
      if (text) {
        statement_.exchange(soci::into(cell.text, cell.indicator));
      } else {
        statement_.exchange(soci::into(cell.integer, cell.indicator));
      }
    }
    for (const Value& value : rendered.values) Bind(value);
    statement_.alloc();
    statement_.prepare(rendered.text);
    statement_.define_and_bind();
  }
  ~Prepared() { statement_.clean_up(); }
  Prepared(const Prepared&) = delete;
  Prepared& operator=(const Prepared&) = delete;

  bool Execute() { return statement_.execute(true); }
  bool Next() { return statement_.fetch(); }
  int64_t AffectedRows() { return statement_.get_affected_rows(); }

  std::vector<Value> Row(const std::vector<bool>& is_text) const {
    std::vector<Value> row;
    row.reserve(cells_.size());
    for (size_t i = 0; i < cells_.size(); ++i) {
      const Cell& cell = cells_[i];
      if (cell.indicator == soci::i_null) {
        row.emplace_back(std::monostate());
      } else if (is_text[i]) {
        row.emplace_back(cell.text);
      } else {
        row.emplace_back(static_cast<int64_t>(cell.integer));
      }
    }
    return row;
  }

 private:
  struct Cell {
    long long integer = 0;
    std::string text;
    soci::indicator indicator = soci::i_ok;
  };

  void Bind(const Value& value) {
    auto& cell = bound_.emplace_back();
    if (const auto* integer = std::get_if<int64_t>(&value)) {
      cell.integer = *integer;
      statement_.exchange(soci::use(cell.integer, cell.indicator));
    } else if (const auto* text = std::get_if<std::string>(&value)) {
      cell.text = *text;
      statement_.exchange(soci::use(cell.text, cell.indicator));
    } else {
      cell.indicator = soci::i_null;
      statement_.exchange(soci::use(cell.integer, cell.indicator));
    }
  }

  soci::statement statement_;
  std::deque<Cell> cells_;
  std::deque<Cell> bound_;
};

}  // namespace

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
  std::vector<Row> rows;
  try {
    Prepared statement(session_, rendered, is_text);
    for (bool more = statement.Execute(); more; more = statement.Next()) rows.push_back(statement.Row(is_text));
  } catch (...) {
    return StatusOfCurrentException(sql.name);
  }
  After(sql, rendered, static_cast<int64_t>(rows.size()));
  return rows;
}

absl::StatusOr<int64_t> Connection::Change(const Sql& sql, Rendered rendered) {
  CROSSKEY_RETURN_IF_ERROR(Before(sql, rendered));
  int64_t changed = 0;
  try {
    Prepared statement(session_, rendered, {});
    statement.Execute();
    changed = statement.AffectedRows();
  } catch (...) {
    return StatusOfCurrentException(sql.name);
  }
  After(sql, rendered, changed);
  return changed;
}

absl::StatusOr<int64_t> Connection::LastInsertId(const Sql& sql) {
  try {
    long long id = 0;
    if (session_.get_last_insert_id("", id)) return id;
  } catch (...) {
    return StatusOfCurrentException(sql.name);
  }
  return MakeSqlError(SqlError::kOther, sql.name, "the database gave no id");
}

absl::Status Connection::Command(const std::string& name, const std::string& text) {
  const Sql sql{name, text};
  Rendered rendered{text, {}};
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
