#include "common/relation/lookup.h"

#include "absl/strings/str_cat.h"
#include "common/events/feed.h"
#include "common/fault/fault.h"

namespace crosskey::relation {

Lookup::Lookup(const ParentTable& table, db::Database& database)
    : Lookup(db::Sql{table.table + ".lookup",
                     absl::StrCat("SELECT id, uid, state FROM ", table.table, " WHERE id IN (?) ORDER BY id")},
             database) {}

absl::StatusOr<LookupAnswer> Lookup::Run(const Call& call, const std::vector<int64_t>& ids) {
  LookupAnswer answer;
  CROSSKEY_RETURN_IF_ERROR(database_.Read(call, [&](db::Connection& connection) -> absl::Status {
    answer.found.clear();
    const bool head_first = !fault::Without(fault::Guard::kHeadFirst);
    if (head_first) {
      CROSSKEY_ASSIGN_OR_RETURN(answer.as_of_sequence, events::Feed::Head(connection));
    }
    CROSSKEY_ASSIGN_OR_RETURN(const auto rows, (connection.Query<int64_t, std::string, int64_t>(rows_, ids)));
    if (!head_first) {
      CROSSKEY_ASSIGN_OR_RETURN(answer.as_of_sequence, events::Feed::Head(connection));
    }
    for (const auto& [id, uid, state] : rows) {
      answer.found.push_back({id, uid, static_cast<ParentState>(state) == ParentState::kDeleting});
    }
    return absl::OkStatus();
  }));
  return answer;
}

}  // namespace crosskey::relation
