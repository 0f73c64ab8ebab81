#include "common/relation/child/guard.h"

#include <algorithm>
#include <map>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/db/cluster_locks.h"
#include "common/events/events_sql.h"
#include "common/events/position.h"
#include "common/fault/fault.h"
#include "common/status/limits.h"

namespace crosskey::relation {

namespace {

std::vector<int64_t> Numbers(const std::vector<RowId>& ids) {
  std::vector<int64_t> numbers;
  for (const RowId id : ids) numbers.push_back(Value(id));
  return numbers;
}

}  // namespace

absl::Status Fence::CheckHistory() const {
  return state == events::HistoryState::kMismatch ? errors::HistoryMismatch(feed, reason) : absl::OkStatus();
}

bool Fence::IsOf(const std::string& other) const { return other.empty() || feed_id.empty() || other == feed_id; }

bool Fence::Passes(const std::string& of_feed, Sequence as_of) const {
  if (!IsOf(of_feed)) return false;
  return last_deletion <= as_of && Value(as_of) - Value(std::max(last, last_deletion)) <= limits::kEventsInFlight;
}

absl::StatusOr<Fence> LockFence(db::Tx& tx, const std::string& feed, RowId parent) {
  CROSSKEY_RETURN_IF_ERROR(events::LockPosition(tx, feed, Value(parent)));
  CROSSKEY_ASSIGN_OR_RETURN(auto row, (tx.QueryOne<Sequence, Sequence, std::string, events::HistoryState, std::string>(
                                          events::sql::kFence, feed)));
  if (!row.has_value()) return absl::InternalError("no checkpoint row for the feed " + feed);
  auto& [last, last_deletion, feed_id, state, reason] = *row;
  return Fence{feed, std::move(feed_id), last, last_deletion, state, std::move(reason)};
}

absl::Status AddReferences(db::Tx& tx, const ReferenceSql& sql, const std::vector<Row>& parents) {
  std::vector<std::vector<db::Argument>> rows;
  for (const Row& parent : parents) rows.push_back({parent.id, parent.uid, ReferenceState::kActive});
  return tx.ExecuteRows(sql.add, rows).status();
}

absl::Status LockReferences(db::Tx& tx, const ReferenceTable& table, const std::vector<RowId>& parents) {
  if (!tx.in_cluster()) return absl::OkStatus();
  return db::LockInCluster(tx, table.table, Numbers(parents));
}

absl::Status CheckUid(const ReferenceTable& table, const Row& parent, const std::string& uid) {
  if (uid == parent.uid) return absl::OkStatus();
  return errors::HistoryMismatch(table.feed, absl::StrCat(errors::ResourceName(table.parent_type, parent.id), " is ",
                                                          parent.uid, " there and ", uid, " here"));
}

// Asks the parents' service. Returns an answer only if all of them exist and none is being deleted, else an error.
absl::StatusOr<LookupAnswer> Guard::LookUp(const Call& call, const std::string& relationship,
                                           const std::vector<RowId>& ids) {
  CROSSKEY_ASSIGN_OR_RETURN(LookupAnswer answer, peer_.Lookup(call, table_.parent_type, ids));
  std::map<RowId, bool> deleting;
  for (const Found& found : answer.found) deleting[found.row.id] = found.deleting;
  std::vector<errors::MissingReference> missing;
  for (const RowId id : ids) {
    if (deleting.count(id) == 0) missing.push_back({relationship, table_.parent_type, id});
  }
  if (!missing.empty()) return errors::ForeignKeyViolation(missing);
  for (const auto& [id, is_deleting] : deleting) {
    if (is_deleting) return errors::ParentDeleting(table_.parent_type, id);
  }
  return answer;
}

Guard::Unlocked Guard::AskAgain(const LookupAnswer& answer) {
  Unlocked again;
  for (const Found& found : answer.found) again.unknown.push_back(found.row.id);
  return again;
}

// Adds reference rows for the parents in `answer`, then locks those of all parents. Returns nullopt if all are ACTIVE.
absl::StatusOr<std::optional<Guard::Unlocked>> Guard::Lock(events::Tx& tx, const std::string& relationship,
                                                           const std::vector<RowId>& parents,
                                                           const LookupAnswer& answer) {
  std::vector<Row> found;
  std::map<RowId, std::string> uids;
  for (const Found& each : answer.found) {
    found.push_back(each.row);
    uids[each.row.id] = each.row.uid;
  }
  if (!found.empty()) {
    CROSSKEY_ASSIGN_OR_RETURN(const Fence fence, LockFence(tx.db(), table_.feed, found.front().id));
    CROSSKEY_RETURN_IF_ERROR(fence.CheckHistory());
    if (!fence.Passes(answer.feed_id, answer.as_of_sequence)) {
      return AskAgain(answer);
    }
  }
  CROSSKEY_RETURN_IF_ERROR(LockReferences(tx.db(), table_, parents));
  if (!found.empty()) CROSSKEY_RETURN_IF_ERROR(AddReferences(tx.db(), sql_, found));
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, (tx.db().Query<RowId, ReferenceState>(sql_.lock_shared, parents)));
  // A row that is there already may be of a parent that is lost and whose id was given again.
  if (!found.empty()) {
    CROSSKEY_ASSIGN_OR_RETURN(const auto stored,
                              (tx.db().Query<RowId, std::string, ReferenceState>(sql_.look_all, parents)));
    for (const auto& [id, uid, state] : stored) {
      const auto told = uids.find(id);
      if (told != uids.end()) CROSSKEY_RETURN_IF_ERROR(CheckUid(table_, {id, told->second}, uid));
    }
  }
  std::map<RowId, ReferenceState> states;
  for (const auto& [id, state] : rows) states[id] = state;
  std::vector<errors::MissingReference> released;
  Unlocked missing;
  for (const RowId id : parents) {
    const auto state = states.find(id);
    if (state == states.end()) {
      missing.unknown.push_back(id);
    } else if (state->second != ReferenceState::kActive) {
      released.push_back({relationship, table_.parent_type, id});
    }
  }
  if (!released.empty()) return errors::ForeignKeyViolation(released);
  if (missing.unknown.empty()) return std::nullopt;
  return missing;
}

std::optional<absl::Status> Held::Check(const std::string& relationship, const std::vector<RowId>& parents) const {
  std::vector<errors::MissingReference> released;
  bool unknown = false;
  for (const RowId id : parents) {
    const auto state = states_.find(id);
    if (state == states_.end()) {
      unknown = true;
    } else if (state->second != ReferenceState::kActive) {
      released.push_back({relationship, table_.parent_type, id});
    }
  }
  if (!released.empty()) return errors::ForeignKeyViolation(released);
  if (unknown) return std::nullopt;
  return absl::OkStatus();
}

absl::StatusOr<Held> Guard::Hold(events::Tx& tx, const std::vector<RowId>& parents) {
  std::vector<RowId> free;
  if (tx.db().in_cluster()) {
    CROSSKEY_ASSIGN_OR_RETURN(const auto ids, db::LockFreeInCluster(tx.db(), table_.table, Numbers(parents)));
    if (ids.empty()) return Held(table_, {});
    for (const int64_t id : ids) free.push_back(RowId{id});
  }
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows,
                            (tx.db().Query<RowId, ReferenceState>(sql_.hold, tx.db().in_cluster() ? free : parents)));
  std::map<RowId, ReferenceState> states;
  for (const auto& [id, state] : rows) states[id] = state;
  CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kGuardLocked));
  return Held(table_, std::move(states));
}

absl::Status Guard::Run(const Call& call, const std::string& relationship, std::vector<RowId> parents,
                        Unknown if_unknown, absl::FunctionRef<absl::StatusOr<db::End>(events::Tx&)> body) {
  std::sort(parents.begin(), parents.end());
  parents.erase(std::unique(parents.begin(), parents.end()), parents.end());

  using Outcome = db::Either<Locked, Stopped>;
  LookupAnswer answer;  // stays empty in the usual case, in which all parents have a reference row
  for (int round = 0; round <= limits::kConsistencyRounds; ++round) {
    CROSSKEY_ASSIGN_OR_RETURN(const Outcome outcome,
                              outbox_.Transact(call, "guarded_write", [&](events::Tx& tx) -> absl::StatusOr<Outcome> {
                                CROSSKEY_ASSIGN_OR_RETURN(Stopped unlocked, Lock(tx, relationship, parents, answer));
                                if (unlocked.has_value()) return Outcome(db::RollBack<Stopped>{std::move(unlocked)});
                                CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kGuardLocked));
                                CROSSKEY_ASSIGN_OR_RETURN(const db::End end, body(tx));
                                // Asked last, because the locks and the body may have taken long.
                                if (!answer.found.empty() && answer.IsTooOld()) {
                                  return Outcome(db::RollBack<Stopped>{AskAgain(answer)});
                                }
                                if (end == db::End::kCommit) return Outcome(Locked{});
                                return Outcome(db::RollBack<Stopped>{});
                              }));
    const auto* stopped = std::get_if<db::RollBack<Stopped>>(&outcome);
    if (stopped == nullptr || !stopped->finding.has_value()) return absl::OkStatus();
    if (round == limits::kConsistencyRounds) break;
    const Unlocked& missing = *stopped->finding;
    if (if_unknown == Unknown::kMissing) {
      return errors::ForeignKeyViolation({{relationship, table_.parent_type, missing.unknown.front()}});
    }
    // No session is held during the lookup: else both services could run out of sessions, waiting for each other.
    CROSSKEY_ASSIGN_OR_RETURN(answer, LookUp(call, relationship, missing.unknown));
  }
  return errors::Conflict();
}

}  // namespace crosskey::relation
