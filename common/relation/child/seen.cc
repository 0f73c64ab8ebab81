#include "common/relation/child/seen.h"

#include <algorithm>

namespace crosskey::relation {
namespace {

// A row stays RELEASED only until its event is consumed, so there are few. Where it is not, some of them are enough.
constexpr int kReleased = 1000;

}  // namespace

absl::StatusOr<events::Seen> LatestSeen(db::Connection& connection, const ReferenceTable& table,
                                        const ReferenceSql& sql) {
  events::Seen seen;
  seen.type = table.parent_type;
  CROSSKEY_ASSIGN_OR_RETURN(const auto highest, (connection.QueryOne<RowId, std::string>(sql.highest)));
  if (highest.has_value()) std::tie(seen.id, seen.uid) = *highest;
  CROSSKEY_ASSIGN_OR_RETURN(const auto released, (connection.Query<DeletionId, std::string>(sql.released, kReleased)));
  for (const auto& [deletion_id, uid] : released) {
    if (deletion_id <= seen.deletion_id) continue;
    seen.deletion_id = deletion_id;
    seen.deletion_uid = uid;
  }
  return seen;
}

absl::StatusOr<events::Seen> HighestSeen(db::Connection& connection, const ReferenceTable& table,
                                         const ReferenceSql& sql) {
  CROSSKEY_ASSIGN_OR_RETURN(events::Seen seen, LatestSeen(connection, table, sql));
  CROSSKEY_ASSIGN_OR_RETURN(const auto numbers, connection.QueryOne<DeletionId>(sql.numbers));
  if (numbers.has_value()) seen.deletion_id = std::max(seen.deletion_id, std::get<0>(*numbers));
  return seen;
}

}  // namespace crosskey::relation
