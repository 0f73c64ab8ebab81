#include "common/relation/parent/repair_points.h"

#include <set>

#include "common/events/events_sql.h"
#include "common/events/uuid.h"
#include "common/status/errors.h"
#include "common/status/limits.h"

namespace crosskey::relation {
namespace {

const db::Sql kRename{"repair.new_feed", "UPDATE feed SET feed_id = ? WHERE name = 'own'"};
const db::Sql kGoOn{"repair.go_on", "UPDATE histories SET state = 1, reason = '' WHERE name = 'own'"};
const db::Sql kEventAt{"repair.event_at",
                       "SELECT event_id FROM (SELECT event_id FROM outbox WHERE sequence = ? UNION ALL SELECT event_id "
                       "FROM histories WHERE name = 'own' AND sequence = ?) AS known LIMIT 1"};
// The events of these deletions have a place behind the head.
const db::Sql kUnnumbered{"repair.unnumbered",
                          "SELECT subject FROM outbox WHERE sequence IS NULL AND type = ? ORDER BY id LIMIT ?"};

}  // namespace

void RepairPoints::Add(const ParentTable& table) {
  ids_.emplace_back(table);
  deletions_.push_back({table.events.deleted->full_name(), DeletionStore(table)});
}

absl::StatusOr<RepairPoint> RepairPoints::Begin(const Call& call, const std::vector<events::Seen>& seen) {
  for (const events::Seen& each : seen) {
    for (const GivenIds& ids : ids_) {
      if (ids.type() == each.type) CROSSKEY_RETURN_IF_ERROR(ids.Raise(database_, call, each));
    }
  }
  CROSSKEY_ASSIGN_OR_RETURN(RepairPoint point, MakePoint(call));
  CROSSKEY_RETURN_IF_ERROR(history_.Refresh(call));
  return point;
}

absl::StatusOr<RepairPoint> RepairPoints::MakePoint(const Call& call) {
  return database_.Transact(call, "repair.point", [&](db::Tx& tx) -> absl::StatusOr<RepairPoint> {
    RepairPoint point;
    CROSSKEY_ASSIGN_OR_RETURN(const auto head, tx.QueryOne<Sequence>(events::sql::kLockHead));
    if (!head.has_value()) return absl::InternalError("the feed has no row");
    point.head = std::get<0>(*head);
    CROSSKEY_ASSIGN_OR_RETURN(const auto event, tx.QueryOne<std::string>(kEventAt, point.head, point.head));
    if (event.has_value()) point.event_id = std::get<0>(*event);
    for (const Deletions& deletions : deletions_) CROSSKEY_RETURN_IF_ERROR(ReadOpen(tx, deletions, point));
    point.feed_id = NewUuid();
    CROSSKEY_RETURN_IF_ERROR(tx.Execute(kRename, point.feed_id).status());
    CROSSKEY_RETURN_IF_ERROR(tx.Execute(kGoOn).status());
    return point;
  });
}

// First the deletions, then the events without a number: each of these deletions has committed together with its event,
// and no event can get a number meanwhile.
absl::Status RepairPoints::ReadOpen(db::Tx& tx, const Deletions& deletions, RepairPoint& point) {
  CROSSKEY_ASSIGN_OR_RETURN(const std::vector<OpenDeletion> open,
                            deletions.store.Open(tx, DeletionId{}, limits::kOpenDeletions + 1));
  CROSSKEY_ASSIGN_OR_RETURN(const auto unnumbered,
                            tx.Query<std::string>(kUnnumbered, deletions.event, limits::kOpenDeletions + 1));
  if (static_cast<int>(open.size()) > limits::kOpenDeletions ||
      static_cast<int>(unnumbered.size()) > limits::kOpenDeletions) {
    return errors::Overloaded("open deletions");
  }
  std::set<std::string> later;
  for (const auto& [subject] : unnumbered) later.insert(subject);
  for (const OpenDeletion& deletion : open) {
    const bool is_later = later.count(errors::ResourceName(deletion.type, deletion.row.id)) > 0;
    if (!is_later) point.open_deletions.push_back(deletion);
  }
  return absl::OkStatus();
}

}  // namespace crosskey::relation
