#include "common/relation/parent/lookup.h"

#include "absl/strings/str_cat.h"
#include "common/events/feed.h"

namespace crosskey::relation {

namespace {

db::Sql OfTable(const std::string& table) {
  return {table + ".lookup", absl::StrCat("SELECT id, uid, state FROM ", table, " WHERE id IN (?) ORDER BY id")};
}

}  // namespace

Lookup::Lookup(const ParentTable& table, db::Database& database)
    : Lookup(OfTable(table.table), OfTable(table.table), database) {}

absl::StatusOr<LookupAnswer> Lookup::Read(const Call& call, const db::Sql& sql, const std::vector<RowId>& ids) {
  return database_.Read(call, [&](db::Connection& connection) -> absl::StatusOr<LookupAnswer> {
    LookupAnswer answer;
    CROSSKEY_ASSIGN_OR_RETURN(const events::FeedInfo feed, events::Feed::Read(connection));
    answer.as_of_sequence = feed.head;
    answer.feed_id = feed.feed_id;
    CROSSKEY_ASSIGN_OR_RETURN(auto rows, (connection.Query<RowId, std::string, ParentState>(sql, ids)));
    for (auto& [id, uid, state] : rows) {
      answer.found.push_back({{id, std::move(uid)}, state == ParentState::kDeleting});
    }
    return answer;
  });
}

}  // namespace crosskey::relation
