#include "common/relation/parent/given_ids.h"

#include "absl/strings/str_cat.h"
#include "common/db/counters.h"
#include "common/status/errors.h"
#include "common/status/limits.h"
#include "common/telemetry/log.h"

namespace crosskey::relation {

GivenIds::GivenIds(const ParentTable& table)
    : type_(table.type),
      table_(table.table),
      deletions_table_(table.deletions_table),
      uid_{table_ + ".uid", absl::StrCat("SELECT uid FROM ", table_, " WHERE id = ?")},
      deleted_{deletions_table_ + ".uid_of_row",
               absl::StrCat("SELECT uid FROM ", deletions_table_, " WHERE ", table.id_column,
                            " = ? ORDER BY deletion_id DESC LIMIT 1")},
      deletion_{deletions_table_ + ".uid",
                absl::StrCat("SELECT uid FROM ", deletions_table_, " WHERE deletion_id = ?")} {}

GivenIds::GivenIds(std::string type, std::string table)
    : type_(std::move(type)),
      table_(std::move(table)),
      uid_{table_ + ".uid", absl::StrCat("SELECT uid FROM ", table_, " WHERE id = ?")},
      deleted_{"", ""},
      deletion_{"", ""} {}

absl::StatusOr<std::string> GivenIds::Misfit(db::Connection& connection, const events::Seen& seen) const {
  if (seen.id > RowId{}) {
    const std::string name = errors::ResourceName(type_, seen.id);
    CROSSKEY_ASSIGN_OR_RETURN(auto row, connection.QueryOne<std::string>(uid_, seen.id));
    if (!row.has_value() && !deletions_table_.empty()) {
      CROSSKEY_ASSIGN_OR_RETURN(row, connection.QueryOne<std::string>(deleted_, seen.id));
    }
    if (row.has_value() && std::get<0>(*row) != seen.uid) {
      return absl::StrCat(name, " is ", seen.uid, " there and ", std::get<0>(*row), " here");
    }
    if (!row.has_value()) {
      CROSSKEY_ASSIGN_OR_RETURN(const int64_t given, db::HighestGiven(connection, table_));
      if (Value(seen.id) > given) return absl::StrCat(name, ", and the last one here was ", given);
    }
  }
  if (seen.deletion_id == DeletionId{} || deletions_table_.empty()) return "";
  CROSSKEY_ASSIGN_OR_RETURN(const auto deletion, connection.QueryOne<std::string>(deletion_, seen.deletion_id));
  if (deletion.has_value()) {
    if (std::get<0>(*deletion) == seen.deletion_uid) return "";
    return absl::StrCat("deletion ", Value(seen.deletion_id), " is of ", seen.deletion_uid, " there and of ",
                        std::get<0>(*deletion), " here");
  }
  CROSSKEY_ASSIGN_OR_RETURN(const int64_t given, db::HighestGiven(connection, deletions_table_));
  if (Value(seen.deletion_id) <= given) return "";  // its record is no longer kept
  return absl::StrCat("deletion ", Value(seen.deletion_id), ", and the last one here was ", given);
}

namespace {

// What nobody can have lost was never given here: it came with a call of somebody else. Rows that have it are given up
// or returned by the repair.
absl::Status RaiseTo(db::Database& database, const Call& call, const std::string& table, int64_t id) {
  CROSSKEY_ASSIGN_OR_RETURN(const int64_t given, database.Read(call, [&](db::Connection& connection) {
    return db::HighestGiven(connection, table);
  }));
  if (id - given <= limits::kLostIds) return db::RaiseCounter(database, call, table, id);
  log::Warning("the other service has seen an id that was never given", {{"table", table}, {"id", id}});
  return absl::OkStatus();
}

}  // namespace

absl::Status GivenIds::Raise(db::Database& database, const Call& call, const events::Seen& seen) const {
  if (seen.id > RowId{}) CROSSKEY_RETURN_IF_ERROR(RaiseTo(database, call, table_, Value(seen.id)));
  if (seen.deletion_id == DeletionId{} || deletions_table_.empty()) return absl::OkStatus();
  return RaiseTo(database, call, deletions_table_, Value(seen.deletion_id));
}

}  // namespace crosskey::relation
