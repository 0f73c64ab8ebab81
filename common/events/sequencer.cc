#include "common/events/sequencer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/events/events_sql.h"
#include "common/status/ids.h"
#include "common/status/limits.h"

namespace crosskey::events {
namespace {

// UPDATE outbox SET sequence = CASE id WHEN ? THEN ? ... END WHERE id IN (?). The cases are filled up with the last
// one, as a list is, so that the same few statements serve all numbers of events.
absl::Status Number(db::Tx& tx, Sequence head, const std::vector<int64_t>& ids) {
  std::string cases;
  std::vector<db::Argument> values;
  for (size_t i = 0; i < db::PaddedLength(ids.size()); ++i) {
    const size_t event = std::min(i, ids.size() - 1);
    cases += " WHEN ? THEN ?";
    values.emplace_back(ids[event]);
    values.emplace_back(Value(head) + 1 + static_cast<int64_t>(event));
  }
  values.emplace_back(ids);
  const db::Sql number{"sequencer.number",
                       absl::StrCat("UPDATE outbox SET sequence = CASE id", cases, " END WHERE id IN (?)")};
  return tx.ExecuteWith(number, values).status();
}

}  // namespace

absl::StatusOr<int64_t> Sequencer::Round(const Call& call) {
  // Looks without the lock first, so that an idle service writes nothing.
  CROSSKEY_ASSIGN_OR_RETURN(const auto any, database_.Read(call, [](db::Connection& connection) {
    return connection.QueryOne<int64_t>(sql::kUnnumbered, 1);
  }));
  if (!any.has_value()) return 0;

  return database_.Transact(call, "sequencer", [](db::Tx& tx) -> absl::StatusOr<int64_t> {
    CROSSKEY_ASSIGN_OR_RETURN(const auto head, tx.QueryOne<Sequence>(sql::kLockHead));
    if (!head.has_value()) return absl::InternalError("the feed has no row");
    // A read without locks: READ COMMITTED shows only committed rows, and does not wait for the other ones.
    CROSSKEY_ASSIGN_OR_RETURN(const auto rows, tx.Query<int64_t>(sql::kUnnumbered, limits::kEventBatch));
    std::vector<int64_t> ids;
    for (const auto& [id] : rows) ids.push_back(id);
    const auto numbered = static_cast<int64_t>(ids.size());
    if (ids.empty()) return numbered;
    CROSSKEY_RETURN_IF_ERROR(Number(tx, std::get<0>(*head), ids));
    CROSSKEY_RETURN_IF_ERROR(tx.Execute(sql::kSetHead, After(std::get<0>(*head), numbered)).status());
    return numbered;
  });
}

}  // namespace crosskey::events
