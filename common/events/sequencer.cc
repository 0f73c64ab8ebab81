#include "common/events/sequencer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/events/events_sql.h"
#include "common/fault/fault.h"
#include "common/status/limits.h"

namespace crosskey::events {
namespace {

// UPDATE outbox SET sequence = CASE id WHEN ? THEN ? ... END WHERE id IN (?)
absl::Status Number(db::Tx& tx, int64_t head, const std::vector<int64_t>& ids) {
  std::string cases;
  for (size_t i = 0; i < ids.size(); ++i) {
    absl::StrAppend(&cases, " WHEN ", ids[i], " THEN ", head + 1 + static_cast<int64_t>(i));
  }
  const db::Sql number{"sequencer.number",
                       absl::StrCat("UPDATE outbox SET sequence = CASE id", cases, " END WHERE id IN (?)")};
  return tx.Execute(number, ids).status();
}

// What the numbers replace: the order of the ids, in which a transaction that commits late is passed over.
absl::Status NumberByIds(db::Tx& tx, int64_t head, const std::vector<int64_t>& ids) {
  for (const int64_t id : ids) CROSSKEY_RETURN_IF_ERROR(Number(tx, id - 1, {id}));
  return tx.Execute(sql::kSetHead, std::max(head, ids.back())).status();
}

}  // namespace

absl::StatusOr<int64_t> Sequencer::Round(const Call& call) {
  // Without the lock first: a service at rest writes nothing.
  bool any = false;
  CROSSKEY_RETURN_IF_ERROR(database_.Read(call, [&](db::Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const auto row, connection.QueryOne<int64_t>(sql::kUnnumbered, 1));
    any = row.has_value();
    return absl::OkStatus();
  }));
  if (!any) return 0;

  int64_t numbered = 0;
  CROSSKEY_RETURN_IF_ERROR(database_.Transact(call, "sequencer", [&](db::Tx& tx) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const auto head, tx.QueryOne<int64_t>(sql::kLockHead));
    if (!head.has_value()) return absl::InternalError("the feed has no row");
    // A plain read: READ COMMITTED shows committed rows only and waits for nobody.
    CROSSKEY_ASSIGN_OR_RETURN(const auto rows, tx.Query<int64_t>(sql::kUnnumbered, limits::kEventBatch));
    std::vector<int64_t> ids;
    for (const auto& [id] : rows) ids.push_back(id);
    numbered = static_cast<int64_t>(ids.size());
    if (ids.empty()) return absl::OkStatus();
    if (fault::Without(fault::Guard::kSequencer)) return NumberByIds(tx, std::get<0>(*head), ids);
    CROSSKEY_RETURN_IF_ERROR(Number(tx, std::get<0>(*head), ids));
    return tx.Execute(sql::kSetHead, std::get<0>(*head) + numbered).status();
  }));
  return numbered;
}

}  // namespace crosskey::events
