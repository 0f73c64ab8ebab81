#include "common/db/counters.h"

#include <atomic>

#include "absl/strings/str_cat.h"

namespace crosskey::db {
namespace {

const Sql kSqlite{"counters.highest", "SELECT seq FROM sqlite_sequence WHERE name = ?"};
// MySQL would keep what this table says for a day; open_session.cc tells it not to.
const Sql kMysql{"counters.highest",
                 "SELECT auto_increment - 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND "
                 "table_name = ?"};
const Sql kRaise{"counters.raise", "UPDATE sqlite_sequence SET seq = ? WHERE name = ? AND seq < ?"};
const Sql kFirst{"counters.first",
                 "INSERT INTO sqlite_sequence (name, seq) SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence "
                 "WHERE name = ?)"};

// MySQL 8.0.15 keeps in a prepared statement that nothing was counted yet, whatever has been inserted since. So no
// statement is believed in that a second time. Statements are kept by their texts.
Sql PreparedAnew(const Sql& sql) {
  static std::atomic<uint64_t> number = 0;
  return {sql.name, absl::StrCat(sql.text, " /* ", ++number, " */")};
}

}  // namespace

absl::StatusOr<int64_t> HighestGiven(Connection& connection, const std::string& table) {
  const bool is_sqlite = connection.dialect() == Dialect::kSqlite;
  const auto ask = [&](const Sql& sql) -> absl::StatusOr<int64_t> {
    CROSSKEY_ASSIGN_OR_RETURN(const auto row, connection.QueryOne<int64_t>(sql, table));
    return row.has_value() ? std::get<0>(*row) : 0;
  };
  CROSSKEY_ASSIGN_OR_RETURN(const int64_t highest, ask(is_sqlite ? kSqlite : kMysql));
  return highest == 0 && !is_sqlite ? ask(PreparedAnew(kMysql)) : highest;
}

absl::Status RaiseCounter(Database& database, const Call& call, const std::string& table, int64_t id) {
  if (database.dialect() == Dialect::kSqlite) {
    return database.Transact(call, "counters.raise", [&](Tx& tx) -> absl::Status {
      CROSSKEY_RETURN_IF_ERROR(tx.Execute(kFirst, table, id, table).status());
      return tx.Execute(kRaise, id, table, id).status();
    });
  }
  return database.Read(call, [&](Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const int64_t highest, HighestGiven(connection, table));
    if (highest >= id) return absl::OkStatus();
    // While it waits for somebody who reads the table, as a dump does, all others wait behind it.
    CROSSKEY_RETURN_IF_ERROR(connection.Command("counters.wait", "SET SESSION lock_wait_timeout = 5"));
    // A counter is never lowered by this, whatever was inserted in between.
    const absl::Status raised =
        connection.Command("counters.raise", absl::StrCat("ALTER TABLE ", table, " AUTO_INCREMENT = ", id + 1));
    const absl::Status reset = connection.Command("counters.wait", "SET SESSION lock_wait_timeout = DEFAULT");
    return raised.ok() ? reset : raised;
  });
}

}  // namespace crosskey::db
