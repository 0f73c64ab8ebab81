#include "common/relation/child/references.h"

#include "common/events/events_sql.h"

namespace crosskey::relation {

absl::StatusOr<ReferencesAnswer> References::Find(const Call& call, const std::vector<RowId>& ids) {
  return database_.Read(call, [&](db::Connection& connection) -> absl::StatusOr<ReferencesAnswer> {
    CROSSKEY_ASSIGN_OR_RETURN(const auto checkpoint, (connection.QueryOne<std::string, Sequence, events::HistoryState>(
                                                         events::sql::kConsumed, table_.feed)));
    if (!checkpoint.has_value()) return absl::InternalError("no checkpoint row for the feed " + table_.feed);
    ReferencesAnswer answer;
    std::tie(answer.feed_id, answer.last_sequence, answer.state) = *checkpoint;
    CROSSKEY_ASSIGN_OR_RETURN(const auto rows,
                              (connection.Query<RowId, std::string, ReferenceState>(sql_.look_all, ids)));
    for (const auto& [id, uid, state] : rows) answer.found.push_back({id, uid});
    return answer;
  });
}

}  // namespace crosskey::relation
