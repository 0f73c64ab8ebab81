#include "common/relation/parent/lookup.h"

#include "absl/strings/str_cat.h"
#include "common/events/feed.h"

namespace crosskey::relation {

Lookup::Lookup(const ParentTable& table, db::Database& database)
    : Lookup(db::Sql{table.table + ".lookup",
                     absl::StrCat("SELECT id, uid, state FROM ", table.table, " WHERE id IN (?) ORDER BY id")},
             database) {}

absl::StatusOr<LookupAnswer> Lookup::Run(const Call& call, const std::vector<RowId>& ids) {
  return database_.Read(call, [&](db::Connection& connection) -> absl::StatusOr<LookupAnswer> {
    LookupAnswer answer;
    CROSSKEY_ASSIGN_OR_RETURN(answer.as_of_sequence, events::Feed::Head(connection));
    CROSSKEY_ASSIGN_OR_RETURN(auto rows, (connection.Query<RowId, std::string, ParentState>(rows_, ids)));
    for (auto& [id, uid, state] : rows) {
      answer.found.push_back({{id, std::move(uid)}, state == ParentState::kDeleting});
    }
    return answer;
  });
}

}  // namespace crosskey::relation
