// Running statements on one session.
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "common/db/sql.h"
#include "common/db/sql_error.h"
#include "common/db/statement_seam.h"
#include "common/db/statements.h"
#include "common/status/macros.h"

namespace soci {
class session;
}

namespace crosskey::db {

class StatementCounts;

// One session, for one thread. Exceptions of the driver end here: every method returns them as the statuses of
// sql_error.h. An error means that the statement had no effect. It does not undo the statements before it in the
// transaction, because a lock timeout undoes only its own statement, so the transaction must be rolled back.
class Connection {
 public:
  // `counts` may be null. What is passed by reference, and the counts, must outlive the connection. `statements` are
  // those of the session. `in_cluster`: see SessionFacts.
  Connection(soci::session& session, Statements& statements, Dialect dialect, const StatementSeam& seam,
             StatementCounts* counts, bool in_cluster = false)
      : session_(session),
        statements_(statements),
        dialect_(dialect),
        seam_(seam),
        counts_(counts),
        in_cluster_(in_cluster) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Dialect dialect() const { return dialect_; }
  // Whether the server is one of several that take writes: a lock has to be a write then (cluster_locks.h).
  bool in_cluster() const { return in_cluster_; }

  // Returns the rows of a SELECT, each a tuple of the column types: int64_t, an enum, std::string, or std::optional of
  // one of them where the column can be null. The whole result is held in memory, so every query needs a limit.
  template <typename... Columns, typename... Arguments>
  absl::StatusOr<std::vector<std::tuple<Columns...>>> Query(const Sql& sql, const Arguments&... arguments) {
    CROSSKEY_ASSIGN_OR_RETURN(const std::vector<Row> rows,
                              Fetch(sql, Render(sql, dialect_, {Argument(arguments)...}), {IsText<Columns>()...}));
    std::vector<std::tuple<Columns...>> typed;
    typed.reserve(rows.size());
    for (const Row& row : rows) typed.push_back(ToTuple<Columns...>(row, std::index_sequence_for<Columns...>()));
    return typed;
  }

  // For a SELECT of at most one row: returns it, or nullopt if there is none.
  template <typename... Columns, typename... Arguments>
  absl::StatusOr<std::optional<std::tuple<Columns...>>> QueryOne(const Sql& sql, const Arguments&... arguments) {
    CROSSKEY_ASSIGN_OR_RETURN(auto rows, (Query<Columns...>(sql, arguments...)));
    if (rows.empty()) return std::optional<std::tuple<Columns...>>();
    return std::optional<std::tuple<Columns...>>(std::move(rows.front()));
  }

  // Runs an INSERT, UPDATE or DELETE. Returns the number of rows that it matched.
  template <typename... Arguments>
  absl::StatusOr<int64_t> Execute(const Sql& sql, const Arguments&... arguments) {
    CROSSKEY_ASSIGN_OR_RETURN(const Result result, Change(sql, Render(sql, dialect_, {Argument(arguments)...})));
    return result.changed;
  }

  // The same with a number of arguments that is known only when it runs.
  absl::StatusOr<int64_t> ExecuteWith(const Sql& sql, const std::vector<Argument>& arguments) {
    CROSSKEY_ASSIGN_OR_RETURN(const Result result, Change(sql, Render(sql, dialect_, arguments)));
    return result.changed;
  }

  // Inserts all the rows, in their order, at least one. By one INSERT, but if there are more than 16 rows with few
  // values, by an INSERT for each power of two above that, so that the same few statements serve all numbers of rows.
  absl::StatusOr<int64_t> ExecuteRows(const Sql& sql, const std::vector<std::vector<Argument>>& rows) {
    int64_t changed = 0;
    CROSSKEY_RETURN_IF_ERROR(InParts(rows, [&](const std::vector<std::vector<Argument>>& part) -> absl::Status {
      CROSSKEY_ASSIGN_OR_RETURN(const Result result, Change(sql, RenderRows(sql, dialect_, part)));
      changed += result.changed;
      return absl::OkStatus();
    }));
    return changed;
  }

  // The same with a statement that has {returning}: returns the columns of the rows, in any order. Returns none if the
  // server does not know that.
  template <typename... Columns>
  absl::StatusOr<std::vector<std::tuple<Columns...>>> InsertRows(const Sql& sql,
                                                                 const std::vector<std::vector<Argument>>& rows) {
    std::vector<std::tuple<Columns...>> typed;
    CROSSKEY_RETURN_IF_ERROR(InParts(rows, [&](const std::vector<std::vector<Argument>>& part) -> absl::Status {
      CROSSKEY_ASSIGN_OR_RETURN(const std::vector<Row> returned,
                                Fetch(sql, RenderRows(sql, dialect_, part), {IsText<Columns>()...}));
      for (const Row& row : returned) typed.push_back(ToTuple<Columns...>(row, std::index_sequence_for<Columns...>()));
      return absl::OkStatus();
    }));
    return typed;
  }

  // Inserts one row and returns the id that the database gave it.
  template <typename... Arguments>
  absl::StatusOr<int64_t> Insert(const Sql& sql, const Arguments&... arguments) {
    CROSSKEY_ASSIGN_OR_RETURN(const Result result, Change(sql, Render(sql, dialect_, {Argument(arguments)...})));
    if (result.last_insert_id == 0) return MakeSqlError(SqlError::kOther, sql.name, "the database gave no id");
    return result.last_insert_id;
  }

  // Whether a statement that changes rows has succeeded, even if it found none to change.
  bool has_changed() const { return has_changed_; }

  // Runs a command that has no values and no result: BEGIN, COMMIT, SET, DDL. `name` is as in Sql.
  absl::Status Command(const std::string& name, const std::string& text);

 private:
  using Row = std::vector<Value>;

  template <typename Column>
  static constexpr bool IsText() {
    return std::is_same_v<Column, std::string> || std::is_same_v<Column, std::optional<std::string>>;
  }

  // A null in a column that is not optional reads as zero or an empty text.
  template <typename Column>
  struct IsOptional : std::false_type {};
  template <typename Column>
  struct IsOptional<std::optional<Column>> : std::true_type {};

  template <typename Column>
  static Column Convert(const Value& value) {
    if constexpr (IsOptional<Column>::value) {
      if (std::holds_alternative<std::monostate>(value)) return std::nullopt;
      return Convert<typename Column::value_type>(value);
    } else if constexpr (std::is_enum_v<Column>) {
      return static_cast<Column>(Convert<int64_t>(value));
    } else {
      static_assert(std::is_same_v<Column, int64_t> || std::is_same_v<Column, std::string>);
      if (std::holds_alternative<std::monostate>(value)) return Column{};
      return std::get<Column>(value);
    }
  }

  template <typename... Columns, size_t... I>
  static std::tuple<Columns...> ToTuple(const Row& row, std::index_sequence<I...>) {
    return {Convert<Columns>(row[I])...};
  }

  static absl::Status InParts(const std::vector<std::vector<Argument>>& rows,
                              absl::FunctionRef<absl::Status(const std::vector<std::vector<Argument>>&)> insert);
  absl::StatusOr<std::vector<Row>> Fetch(const Sql& sql, Rendered rendered, const std::vector<bool>& is_text);
  absl::StatusOr<Result> Change(const Sql& sql, Rendered rendered);
  absl::Status Before(const Sql& sql, Rendered& rendered);
  void After(const Sql& sql, const Rendered& rendered, int64_t rows);

  soci::session& session_;
  Statements& statements_;
  const Dialect dialect_;
  const StatementSeam& seam_;
  StatementCounts* const counts_;
  const bool in_cluster_;
  bool has_changed_ = false;
};

// A transaction that has begun. The body that gets it must not commit or roll back: Database does that.
class Tx : public Connection {
 public:
  using Connection::Connection;

  // `then` is called once after the commit, and never if the commit did not succeed. It is for metrics and for waking
  // other threads.
  void OnCommit(std::function<void()> then) { on_commit_.push_back(std::move(then)); }

 private:
  friend class Database;
  std::vector<std::function<void()>> on_commit_;
};

}  // namespace crosskey::db
