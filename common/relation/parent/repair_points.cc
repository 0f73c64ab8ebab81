#include "common/relation/parent/repair_points.h"

#include <algorithm>
#include <set>

#include "common/events/events_sql.h"
#include "common/events/position.h"
#include "common/events/uuid.h"
#include "common/status/errors.h"

namespace crosskey::relation {
namespace {

const db::Sql kRename{"repair.new_feed", "UPDATE feed SET feed_id = ? WHERE name = 'own'"};
const db::Sql kGoOn{"repair.go_on", "UPDATE histories SET state = 1, reason = '' WHERE name = 'own'"};
const db::Sql kEventAt{"repair.event_at",
                       "SELECT event_id FROM (SELECT event_id FROM outbox WHERE sequence = ? UNION ALL SELECT event_id "
                       "FROM histories WHERE name = 'own' AND sequence = ?) AS known LIMIT 1"};
const db::Sql kFeedId{"repair.feed_id", "SELECT feed_id FROM feed WHERE name = 'own'"};
const db::Sql kLater{"repair.later",
                     "SELECT subject FROM outbox WHERE (sequence > ? OR sequence IS NULL) AND type = ? AND subject IN "
                     "(?)"};

constexpr int kPage = 500;

}  // namespace

void RepairPoints::Add(const ParentTable& table) {
  ids_.emplace_back(table);
  deletions_.push_back({table.type, table.events.deleted->full_name(), DeletionStore(table)});
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
    CROSSKEY_RETURN_IF_ERROR(events::LockWholePosition(tx, "own"));
    CROSSKEY_ASSIGN_OR_RETURN(const auto head, tx.QueryOne<Sequence>(events::sql::kLockHead));
    if (!head.has_value()) return absl::InternalError("the feed has no row");
    point.head = std::get<0>(*head);
    CROSSKEY_ASSIGN_OR_RETURN(const auto event, tx.QueryOne<std::string>(kEventAt, point.head, point.head));
    if (event.has_value()) point.event_id = std::get<0>(*event);
    point.feed_id = NewUuid();
    CROSSKEY_RETURN_IF_ERROR(tx.Execute(kRename, point.feed_id).status());
    CROSSKEY_RETURN_IF_ERROR(tx.Execute(kGoOn).status());
    return point;
  });
}

bool RepairPoints::Knows(const std::string& type) const {
  return std::any_of(ids_.begin(), ids_.end(), [&](const GivenIds& ids) { return ids.type() == type; });
}

// First the deletions, then their events, then the name of the feed. Each of these deletions has committed together
// with its event. An event that had no number at the head gets a later one, and none behind the head is removed as long
// as the feed has this name.
absl::StatusOr<OpenPage> RepairPoints::ListOpen(const Call& call, const std::string& type, DeletionId after,
                                                Sequence head) {
  return database_.Read(call, [&](db::Connection& connection) -> absl::StatusOr<OpenPage> {
    OpenPage page;
    for (const Deletions& deletions : deletions_) {
      if (deletions.type != type) continue;
      CROSSKEY_ASSIGN_OR_RETURN(const std::vector<OpenDeletion> open, deletions.store.Open(connection, after, kPage));
      if (open.size() == kPage) page.next = open.back().deletion_id;
      CROSSKEY_ASSIGN_OR_RETURN(page.deletions, UpTo(connection, head, deletions, open));
    }
    CROSSKEY_ASSIGN_OR_RETURN(const auto feed_id, connection.QueryOne<std::string>(kFeedId));
    if (!feed_id.has_value()) return absl::InternalError("the feed has no row");
    page.feed_id = std::get<0>(*feed_id);
    return page;
  });
}

absl::StatusOr<std::vector<OpenDeletion>> RepairPoints::UpTo(db::Connection& connection, Sequence head,
                                                             const Deletions& deletions,
                                                             const std::vector<OpenDeletion>& open) {
  std::vector<OpenDeletion> found;
  if (open.empty()) return found;
  std::vector<std::string> subjects;
  for (const OpenDeletion& each : open) subjects.push_back(errors::ResourceName(deletions.type, each.row.id));
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, connection.Query<std::string>(kLater, head, deletions.event, subjects));
  std::set<std::string> later;
  for (const auto& [subject] : rows) later.insert(subject);
  for (size_t i = 0; i < open.size(); ++i) {
    if (later.count(subjects[i]) == 0) found.push_back(open[i]);
  }
  return found;
}

}  // namespace crosskey::relation
