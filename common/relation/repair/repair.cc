#include "common/relation/repair/repair.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "common/events/position.h"
#include "common/relation/repair/check.h"
#include "common/status/errors.h"
#include "common/status/limits.h"
#include "common/telemetry/log.h"

namespace crosskey::relation {
namespace {

constexpr int kPage = 500;
constexpr absl::Duration kPatience = absl::Seconds(20);

const db::Sql kBegin{"repair.begin", "UPDATE histories SET state = 3, reason = 'a repair is going on' WHERE name = ?"};
const db::Sql kBegunIn{"repair.begun_in", "SELECT feed_id FROM checkpoints WHERE feed = ? {update}"};
// Nothing of the new history is consumed yet, so nothing of it may be trimmed. The place before the first event is one
// that every release refuses to a subscriber: a process of an older release, which does not know of repairs, would
// consume the whole history again.
const db::Sql kFence{
    "repair.fence",
    "UPDATE checkpoints SET feed_id = ?, last_sequence = -1, last_deletion_sequence = ? WHERE feed = ? "
    "AND feed_id = ?"};
const db::Sql kEnd{"repair.end",
                   "UPDATE checkpoints SET last_sequence = ? WHERE feed = ? AND feed_id = ? AND last_sequence = -1"};
const db::Sql kGoOn{"repair.consume_again",
                    "UPDATE histories SET state = 1, reason = '', sequence = ?, event_id = ? WHERE name = ? AND "
                    "state = 3"};

Call Step() { return Call::Background(limits::kDefaultDeadline); }

absl::Status Superseded() { return absl::AbortedError("another repair has begun"); }

// What is given up cannot be asked for later, so the log keeps it. It is written before the COMMIT, whose answer may be
// lost; a line of a transaction that did not commit is written again by the next one. A row that was released for a
// deletion is hidden already, and usually that deletion was decided, so it is no reason for a warning.
absl::Status Audit(events::Tx& tx, const Child& child, const Row& parent, ReferenceState state,
                   const std::string& why) {
  for (size_t i = 0; i < child.table.children.size(); ++i) {
    const std::string relationship = child.table.children[i].declaration.relationship;
    CROSSKEY_ASSIGN_OR_RETURN(const auto rows, tx.db().QueryOne<int64_t>(child.sql.children[i].count, parent.id,
                                                                         limits::kRestrictedRowsCounted));
    const int64_t count = rows.has_value() ? std::get<0>(*rows) : 0;
    const std::string name = errors::ResourceName(child.table.parent_type, parent.id);
    const auto write = state == ReferenceState::kActive ? log::Warning : log::Info;
    write("giving up a reference", {{"parent", name},
                                    {"uid", parent.uid},
                                    {"why", why},
                                    {"released", state != ReferenceState::kActive},
                                    {"relationship", relationship},
                                    {"rows_at_least", count}});
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Repair::Done> Repair::Run() {
  Done done;
  CROSSKEY_RETURN_IF_ERROR(Begin());
  CROSSKEY_ASSIGN_OR_RETURN(const RepairPoint point, AskForPoint());
  CROSSKEY_RETURN_IF_ERROR(SetFence(point));
  for (const Child* child : sides_.children) CROSSKEY_RETURN_IF_ERROR(List(*child, point, done));
  if (sides_.parent != nullptr) CROSSKEY_RETURN_IF_ERROR(CompleteOwn(done));
  CROSSKEY_RETURN_IF_ERROR(Remove());
  CROSSKEY_RETURN_IF_ERROR(TakeOver(point, done));
  CROSSKEY_RETURN_IF_ERROR(End(point));
  return done;
}

absl::Status Repair::Begin() {
  return sides_.outbox.Transact(Step(), "repair.begin", [&](events::Tx& tx) -> absl::Status {
    CROSSKEY_RETURN_IF_ERROR(events::LockWholePosition(tx.db(), sides_.peer));
    CROSSKEY_ASSIGN_OR_RETURN(const auto row, tx.db().QueryOne<std::string>(kBegunIn, sides_.peer));
    if (!row.has_value()) return absl::InternalError("no checkpoint row for the feed " + sides_.peer);
    begun_in_ = std::get<0>(*row);
    return tx.db().Execute(kBegin, sides_.peer).status();
  });
}

absl::StatusOr<RepairPoint> Repair::AskForPoint() {
  CROSSKEY_ASSIGN_OR_RETURN(const std::vector<events::Seen> seen,
                            sides_.outbox.database().Read(
                                Step(), [&](db::Connection& connection) -> absl::StatusOr<std::vector<events::Seen>> {
                                  std::vector<events::Seen> all;
                                  for (const Child* child : sides_.children) {
                                    CROSSKEY_ASSIGN_OR_RETURN(events::Seen each,
                                                              HighestSeen(connection, child->table, child->sql));
                                    all.push_back(std::move(each));
                                  }
                                  return all;
                                }));
  return sides_.repairs.BeginRepair(Step(), seen);
}

absl::Status Repair::SetFence(const RepairPoint& point) {
  return sides_.outbox.Transact(Step(), "repair.fence", [&](events::Tx& tx) -> absl::Status {
    CROSSKEY_RETURN_IF_ERROR(events::LockWholePosition(tx.db(), sides_.peer));
    CROSSKEY_ASSIGN_OR_RETURN(const int64_t set,
                              tx.db().Execute(kFence, point.feed_id, point.head, sides_.peer, begun_in_));
    if (set != 1) return Superseded();
    return tx.db().Execute(kBegin, sides_.peer).status();
  });
}

absl::Status Repair::LockCheckpoint(events::Tx& tx, const RepairPoint& point) {
  CROSSKEY_ASSIGN_OR_RETURN(const Fence fence, LockFence(tx.db(), sides_.peer, RowId{}));
  const bool goes_on = fence.state == events::HistoryState::kRepairing && fence.feed_id == point.feed_id;
  return goes_on ? absl::OkStatus() : Superseded();
}

absl::Status Repair::List(const Child& child, const RepairPoint& point, Done& done) {
  const std::string& type = child.table.parent_type;
  // Rows that are added meanwhile have passed the fence, so it ends with a page that is not full.
  RowId after{};
  for (bool more = true; more;) {
    CROSSKEY_ASSIGN_OR_RETURN(const auto rows, sides_.outbox.database().Read(Step(), [&](db::Connection& connection) {
      return connection.Query<RowId, std::string, ReferenceState, DeletionId>(child.sql.page, after, kPage);
    }));
    if (rows.empty()) break;
    more = rows.size() == kPage;
    const RowId before = after;
    after = std::get<0>(rows.back());
    done.references += static_cast<int64_t>(rows.size());
    std::map<RowId, std::string> uids;
    std::vector<RowId> ids;
    for (const auto& [id, uid, state, refused_through] : rows) {
      ids.push_back(id);
      uids[id] = uid;
    }
    CROSSKEY_ASSIGN_OR_RETURN(const LookupAnswer answer, sides_.repairs.Examine(Step(), type, ids));
    if (answer.feed_id != point.feed_id) return Superseded();
    std::map<RowId, const Found*> owners;
    for (const Found& found : answer.found) owners[found.row.id] = &found;
    const auto problem_of = [&](const Row& row, ReferenceState state) {
      const auto owner = owners.find(row.id);
      return ProblemOf(row, state, owner == owners.end() ? nullptr : owner->second);
    };
    const bool any = std::any_of(rows.begin(), rows.end(), [&](const auto& row) {
      const auto& [id, uid, state, refused_through] = row;
      return refused_through > DeletionId{} || problem_of({id, uid}, state) != nullptr;
    });
    if (!any) continue;
    CROSSKEY_ASSIGN_OR_RETURN(
        const Done changed, sides_.outbox.Transact(Step(), "repair.list", [&](events::Tx& tx) -> absl::StatusOr<Done> {
          CROSSKEY_RETURN_IF_ERROR(LockCheckpoint(tx, point));
          CROSSKEY_RETURN_IF_ERROR(LockReferences(tx.db(), child.table, ids));
          CROSSKEY_ASSIGN_OR_RETURN(const auto locked,
                                    (tx.db().Query<RowId, std::string, ReferenceState>(child.sql.lock_all, ids)));
          std::vector<RowId> lost, living;
          for (const auto& [id, uid, state] : locked) {
            // The answer is about the row that the page had. Meanwhile another one may have come in its place.
            const char* problem = uid == uids[id] ? problem_of({id, uid}, state) : nullptr;
            if (problem == nullptr) continue;
            // A row that is being reclaimed has lost some of its child rows, so it goes on to its end.
            if (problem == kHiddenParent && state == ReferenceState::kReclaiming) continue;
            (problem == kHiddenParent ? living : lost).push_back(id);
            if (problem != kHiddenParent) CROSSKEY_RETURN_IF_ERROR(Audit(tx, child, {id, uid}, state, problem));
          }
          // The deletion that was refused may be lost, and a new one get its id. Its own late release names the
          // history of before.
          CROSSKEY_RETURN_IF_ERROR(tx.db().Execute(child.sql.forget_refused, before, after).status());
          if (!lost.empty()) CROSSKEY_RETURN_IF_ERROR(tx.db().Execute(child.sql.reclaim, lost).status());
          if (!living.empty()) CROSSKEY_RETURN_IF_ERROR(tx.db().Execute(child.sql.reactivate, living).status());
          Done page;
          page.given_up = static_cast<int64_t>(lost.size());
          page.returned = static_cast<int64_t>(living.size());
          return page;
        }));
    done.given_up += changed.given_up;
    done.returned += changed.returned;
  }
  return absl::OkStatus();
}

// The reports may have been lost with the other service's feed, or be among the events that this repair skips.
absl::Status Repair::CompleteOwn(Done& done) {
  Deletions& deletions = sides_.parent->deletions();
  // Those that begin meanwhile are none of its business, so it ends with a page that is not full.
  DeletionId after{};
  for (bool more = true; more;) {
    CROSSKEY_ASSIGN_OR_RETURN(const std::vector<OpenDeletion> open, deletions.Open(Step(), after, kPage));
    if (open.empty()) break;
    more = open.size() == kPage;
    after = open.back().deletion_id;
    CROSSKEY_ASSIGN_OR_RETURN(const auto known, deletions.AwaitOver(sides_.repairs, open, kPatience));
    if (!known.has_value()) {
      return absl::FailedPreconditionError(
          absl::StrCat(sides_.peer, " does not consume the events of ", sides_.own,
                       ", so this cannot know which deletions are over: run `repair` of ", sides_.peer, " first"));
    }
    const std::vector<OpenDeletion>& over = *known;
    if (over.empty()) continue;
    CROSSKEY_RETURN_IF_ERROR(sides_.outbox.Transact(Step(), "repair.complete", [&](events::Tx& tx) -> absl::Status {
      for (const OpenDeletion& deletion : over) {
        CROSSKEY_RETURN_IF_ERROR(deletions.OnReclaimed(tx, {deletion.deletion_id, deletion.row, {}}));
      }
      return absl::OkStatus();
    }));
    done.completed += static_cast<int64_t>(over.size());
  }
  return absl::OkStatus();
}

// Else the next event of a row that has the same id would meet the row that was given up.
absl::Status Repair::Remove() {
  while (true) {
    CROSSKEY_RETURN_IF_ERROR(sides_.reclaim(Step()).status());
    bool any = false;
    for (const Child* child : sides_.children) {
      CROSSKEY_ASSIGN_OR_RETURN(const auto left, sides_.outbox.database().Read(Step(), [&](db::Connection& connection) {
        return connection.Query<RowId>(child->sql.reclaimable, RowId{}, 1);
      }));
      any = any || !left.empty();
    }
    if (!any) return absl::OkStatus();
  }
}

absl::Status Repair::TakeOver(const RepairPoint& point, Done& done) {
  for (const Child* child : sides_.children) {
    DeletionId after{};
    do {
      CROSSKEY_ASSIGN_OR_RETURN(const OpenPage page,
                                sides_.repairs.ListOpen(Step(), child->table.parent_type, after, point.head));
      if (page.feed_id != point.feed_id) return Superseded();
      CROSSKEY_RETURN_IF_ERROR(sides_.outbox.Transact(Step(), "repair.take_over", [&](events::Tx& tx) -> absl::Status {
        CROSSKEY_RETURN_IF_ERROR(LockCheckpoint(tx, point));
        for (const OpenDeletion& open : page.deletions) {
          CROSSKEY_RETURN_IF_ERROR(child->events.TakeOver(tx, open.row, open.deletion_id));
        }
        return absl::OkStatus();
      }));
      done.taken_over += static_cast<int64_t>(page.deletions.size());
      // A page that does not go on would make this go on for ever.
      if (page.next != DeletionId{} && page.next <= after) return errors::PeerUnavailable(sides_.peer);
      after = page.next;
    } while (after != DeletionId{});
  }
  return absl::OkStatus();
}

absl::Status Repair::End(const RepairPoint& point) {
  return sides_.outbox.Transact(Step(), "repair.end", [&](events::Tx& tx) -> absl::Status {
    CROSSKEY_RETURN_IF_ERROR(events::LockWholePosition(tx.db(), sides_.peer));
    CROSSKEY_ASSIGN_OR_RETURN(const int64_t moved, tx.db().Execute(kEnd, point.head, sides_.peer, point.feed_id));
    CROSSKEY_ASSIGN_OR_RETURN(const int64_t goes_on, tx.db().Execute(kGoOn, point.head, point.event_id, sides_.peer));
    return moved == 1 && goes_on == 1 ? absl::OkStatus() : Superseded();
  });
}

}  // namespace crosskey::relation
