#include "common/relation/deletions.h"

#include <algorithm>
#include <limits>

#include <prometheus/counter.h>

#include "common/events/feed.h"
#include "common/fault/fault.h"
#include "common/status/limits.h"
#include "common/telemetry/log.h"

namespace crosskey::relation {
namespace {

constexpr int kIntentsPerRound = 100;
constexpr int kRecordsPerPurge = 1000;

// Ends a transaction that has found nothing to do; never leaves this file.
absl::Status Leave() { return absl::UnknownError("leave the transaction"); }

const char* NameOf(DeletionState state) {
  switch (state) {
    case DeletionState::kRefused:
      return "refused";
    case DeletionState::kPending:
      return "pending";
    case DeletionState::kReclaiming:
      return "reclaiming";
    case DeletionState::kCompleted:
      return "completed";
    default:
      return "intent";
  }
}

// Past the intent a deletion no longer depends on its caller, only on this. Whoever drives it: its trace is that of the call
// that began it, see Drive.
Call Detached() { return Call::Background(limits::kDefaultDeadline); }

}  // namespace

Deletions::Deletions(const ParentTable& table, events::Outbox& outbox, Peer& peer, std::function<absl::Time()> now,
                     telemetry::Metrics& metrics)
    : table_(table),
      store_(table),
      outbox_(outbox),
      peer_(peer),
      now_(std::move(now)),
      reached_(prometheus::BuildCounter()
                   .Name("crosskey_deletions_total")
                   .Help("Deletions that have reached this state.")
                   .Register(metrics.registry())) {
  // A counter that is there from the beginning can be told from one that has never moved.
  for (const DeletionState state :
       {DeletionState::kRefused, DeletionState::kPending, DeletionState::kReclaiming, DeletionState::kCompleted}) {
    reached_.Add({{"state", NameOf(state)}});
  }
}

void Deletions::CountOnCommit(events::Tx& tx, const char* state) {
  tx.OnCommit([this, state] { reached_.Add({{"state", state}}).Increment(); });
}

bool Deletions::CanBeRefused(Action action) const {
  if (action == Action::kRestrict) return true;
  return std::any_of(table_.references.begin() + 1, table_.references.end(),
                     [](const Declaration& d) { return d.on_delete == Action::kRestrict; });
}

ReleaseRequest Deletions::MakeRelease(int64_t id, const std::string& uid, Action action) const {
  ReleaseRequest release;
  release.type = table_.type;
  release.id = id;
  release.uid = uid;
  release.overrides = {{table_.references.front().relationship, action}};
  return release;
}

absl::StatusOr<Deletions::Situation> Deletions::Look(const Call& call, int64_t id) {
  Situation situation;
  CROSSKEY_RETURN_IF_ERROR(outbox_.database().Read(call, [&](db::Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(situation.parent, store_.FindParent(connection, id));
    CROSSKEY_ASSIGN_OR_RETURN(situation.latest, store_.Latest(connection, id));
    return absl::OkStatus();
  }));
  return situation;
}

absl::StatusOr<std::optional<Deletion>> Deletions::Delete(const Call& call, const DeleteRequest& request,
                                                          const std::function<void(const Deletion&)>& begun) {
  const Action action = request.action.value_or(table_.references.front().on_delete);
  for (int round = 0; round < limits::kConsistencyRounds; ++round) {
    CROSSKEY_ASSIGN_OR_RETURN(const Situation now, Look(call, request.id));
    if (!now.parent.has_value()) return AnswerMissing(request, action, now.latest);
    const Parent& parent = *now.parent;
    if (request.version.has_value() && *request.version != parent.version) {
      return errors::EtagMismatch(table_.type, request.id);
    }
    int64_t deletion_id = 0;
    if (parent.state == ParentState::kDeleting) {
      // The two were read one after the other; where they do not fit together, look again.
      if (!now.latest.has_value() || now.latest->state != DeletionState::kIntent) continue;
      if (now.latest->action != action) return errors::ParentDeleting(table_.type, request.id);
      if (request.validate_only) return now.latest;
      deletion_id = now.latest->deletion_id;
    } else {
      if (request.validate_only) {
        CROSSKEY_ASSIGN_OR_RETURN(Deletion preview, Preview(call, parent, action));
        return preview;
      }
      // Refusals are answered without an intent as far as possible.
      if (CanBeRefused(action)) CROSSKEY_RETURN_IF_ERROR(AskPeer(call, parent, action, false).status());
#ifdef CROSSKEY_TEST_BUILD
      if (fault::Without(fault::Guard::kIntentFirst)) CROSSKEY_RETURN_IF_ERROR(ReleaseUnannounced(call, now, action));
#endif
      CROSSKEY_ASSIGN_OR_RETURN(const std::optional<int64_t> own, Begin(call, request, action, begun));
      if (!own.has_value()) continue;
      deletion_id = *own;
    }
    const bool joined = parent.state == ParentState::kDeleting;
    CROSSKEY_ASSIGN_OR_RETURN(const Driven driven, Drive(Detached(), deletion_id));
    if (driven.deletion.state != DeletionState::kRefused) return driven.deletion;
    // Somebody else's deletion was refused, perhaps long ago, or another driver heard what refused this one: only a
    // further one can tell how it is now.
    if (!joined && !driven.refusing.empty()) return errors::Restricted(table_.type, request.id, driven.refusing);
  }
  return errors::Conflict();
}

absl::StatusOr<std::optional<Deletion>> Deletions::AnswerMissing(const DeleteRequest& request, Action action,
                                                                 const std::optional<Deletion>& latest) const {
  if (latest.has_value() && IsUnderWay(latest->state) && latest->action == action) return latest;
  if (!request.allow_missing) return errors::NotFound(table_.type, request.id);
  return latest;
}

// Whether it could be released now, and with `count` how many rows that would concern. FAILED_PRECONDITION RESTRICTED if
// not.
absl::StatusOr<ReleaseAnswer> Deletions::AskPeer(const Call& call, const Parent& parent, Action action, bool count) {
  ReleaseRequest release = MakeRelease(parent.id, parent.uid, action);
  release.validate_only = true;
  release.without_counts = !count;
  CROSSKEY_ASSIGN_OR_RETURN(ReleaseAnswer answer, peer_.Release(call, release));
  if (!answer.released) return errors::Restricted(table_.type, parent.id, answer.counts);
  return answer;
}

absl::StatusOr<Deletion> Deletions::Preview(const Call& call, const Parent& parent, Action action) {
  CROSSKEY_ASSIGN_OR_RETURN(const ReleaseAnswer answer, AskPeer(call, parent, action, true));
  Deletion preview;
  preview.parent_id = parent.id;
  preview.parent_uid = parent.uid;
  preview.action = action;
  for (const errors::Referencing& count : answer.counts) preview.rows[count.relationship] = count.rows;
  return preview;
}

#ifdef CROSSKEY_TEST_BUILD
// What the intent prevents: a release of which nobody knows if this process ends here.
absl::Status Deletions::ReleaseUnannounced(const Call& call, const Situation& now, Action action) {
  ReleaseRequest release = MakeRelease(now.parent->id, now.parent->uid, action);
  release.deletion_id = now.latest.has_value() ? now.latest->deletion_id + 1 : 1;
  release.as_of_sequence = std::numeric_limits<int64_t>::max();
  return peer_.Release(call, release).status();
}
#endif

absl::StatusOr<std::optional<Deletion>> Deletions::Resume(const Call& call, int64_t deletion_id) {
  std::optional<Deletion> deletion;
  CROSSKEY_RETURN_IF_ERROR(outbox_.database().Read(call, [&](db::Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(deletion, store_.Find(connection, deletion_id));
    return absl::OkStatus();
  }));
  if (!deletion.has_value() || deletion->state != DeletionState::kIntent) return deletion;
  CROSSKEY_ASSIGN_OR_RETURN(const Driven driven, Drive(Detached(), deletion_id));
  return driven.deletion;
}

// Step 1, intent. nullopt: the row is not ACTIVE any more, look again.
absl::StatusOr<std::optional<int64_t>> Deletions::Begin(const Call& call, const DeleteRequest& request, Action action,
                                                        const std::function<void(const Deletion&)>& begun) {
  Deletion deletion;
  bool is_active = true;
  const absl::Status status = outbox_.Transact(call, "deletion.intent", [&](events::Tx& tx) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const std::optional<Parent> parent, store_.LockParent(tx.db(), request.id));
    is_active = parent.has_value() && parent->state == ParentState::kActive;
    if (!is_active) return Leave();
    if (request.version.has_value() && *request.version != parent->version) {
      return errors::EtagMismatch(table_.type, request.id);
    }
    deletion = Deletion{};
    deletion.parent_id = parent->id;
    deletion.parent_uid = parent->uid;
    deletion.action = action;
    deletion.state = DeletionState::kIntent;
    deletion.create_time = absl::ToUnixMicros(now_());
    CROSSKEY_ASSIGN_OR_RETURN(deletion.deletion_id,
                              store_.Insert(tx.db(), *parent, action, deletion.create_time, call.traceparent));
    if (begun) begun(deletion);
    return store_.SetParentState(tx.db(), request.id, ParentState::kDeleting);
  });
  if (!is_active) return std::nullopt;
  CROSSKEY_RETURN_IF_ERROR(status);
  return deletion.deletion_id;
}

// Steps 2 and 3 for an intent; returns at once what is decided already.
absl::StatusOr<Deletions::Driven> Deletions::Drive(Call call, int64_t deletion_id) {
  Deletion deletion;
  for (int round = 0; round < limits::kConsistencyRounds; ++round) {
    int64_t head = 0;
    // First the head, then whether it is still an intent: a release that passes the fence cannot be older than the
    // decision.
    CROSSKEY_RETURN_IF_ERROR(outbox_.database().Read(call, [&](db::Connection& connection) -> absl::Status {
      const bool head_first = !fault::Without(fault::Guard::kHeadFirst);
      if (head_first) {
        CROSSKEY_ASSIGN_OR_RETURN(head, events::Feed::Head(connection));
      }
      CROSSKEY_ASSIGN_OR_RETURN(const std::optional<Deletion> found, store_.Find(connection, deletion_id));
      if (!found.has_value()) return absl::InternalError("a deletion record has vanished");
      deletion = *found;
      if (!head_first) {
        CROSSKEY_ASSIGN_OR_RETURN(head, events::Feed::Head(connection));
      }
      return absl::OkStatus();
    }));
    if (deletion.state != DeletionState::kIntent) return Driven{deletion, {}};
    call.traceparent = deletion.traceparent;

    ReleaseRequest release = MakeRelease(deletion.parent_id, deletion.parent_uid, deletion.action);
    release.deletion_id = deletion_id;
    release.as_of_sequence = head;
    const absl::StatusOr<ReleaseAnswer> answer = peer_.Release(call, release);
    if (answer.ok()) {
      const DeletionState state = answer->released ? DeletionState::kReclaiming : DeletionState::kRefused;
      CROSSKEY_ASSIGN_OR_RETURN(Deletion decided, Decide(call, deletion, state, ""));
      return Driven{std::move(decided), answer->counts};
    }
    if (!absl::IsAborted(answer.status())) break;
  }
  // No definite answer. What cannot be refused goes on, and the event performs the release when it arrives.
  if (!CanBeRefused(deletion.action)) {
    CROSSKEY_ASSIGN_OR_RETURN(Deletion decided, Decide(call, deletion, DeletionState::kPending,
                                                       PeerIsAway() + "; its rows stay visible until it is back"));
    return Driven{std::move(decided), {}};
  }
  const absl::Status noted = NoteBlocked(call, deletion_id);
  if (!noted.ok()) log::Warning("could not note why a deletion is blocked", {{"deletion_id", deletion_id}});
  // Whatever it was, the intent is stored and its outcome open.
  return errors::PeerUnavailable(table_.peer);
}

// Step 3: the drop, or the refusal. Returns the deletion as it stands afterwards, whoever decided it.
absl::StatusOr<Deletion> Deletions::Decide(const Call& call, const Deletion& deletion, DeletionState state,
                                           const std::string& blocked_reason) {
  std::optional<Deletion> decided;
  CROSSKEY_RETURN_IF_ERROR(outbox_.Transact(call, "deletion.decide", [&](events::Tx& tx) -> absl::Status {
    const bool refused = state == DeletionState::kRefused;
    CROSSKEY_RETURN_IF_ERROR(store_.LockParent(tx.db(), deletion.parent_id).status());
    std::optional<int64_t> end;
    if (refused) end = absl::ToUnixMicros(now_());
    CROSSKEY_ASSIGN_OR_RETURN(const bool first,
                              store_.Decide(tx.db(), deletion.deletion_id, state, blocked_reason, end));
    if (first) CountOnCommit(tx, NameOf(state));
    if (first && refused) {
      CROSSKEY_RETURN_IF_ERROR(store_.SetParentState(tx.db(), deletion.parent_id, ParentState::kActive));
    } else if (first) {
      CROSSKEY_RETURN_IF_ERROR(store_.RemoveParent(tx.db(), deletion.parent_id));
      tx.Append(table_.deleted_event(deletion.parent_id, deletion.parent_uid, deletion.deletion_id));
    }
    CROSSKEY_ASSIGN_OR_RETURN(decided, store_.Find(tx.db(), deletion.deletion_id));
    return absl::OkStatus();
  }));
  if (!decided.has_value()) return absl::InternalError("a deletion record has vanished");
  return *decided;
}

absl::Status Deletions::NoteBlocked(const Call& call, int64_t deletion_id) {
  return outbox_.Transact(call, "deletion.note_blocked",
                          [&](events::Tx& tx) { return store_.SetBlocked(tx.db(), deletion_id, PeerIsAway()); });
}

absl::StatusOr<Deletion> Deletions::Latest(const Call& call, int64_t id) {
  CROSSKEY_ASSIGN_OR_RETURN(const Situation now, Look(call, id));
  if (!now.latest.has_value()) return errors::DeletionNotFound(table_.type, id);
  return *now.latest;
}

absl::Status Deletions::OnReclaimed(events::Tx& tx, int64_t deletion_id, const std::map<std::string, int64_t>& rows) {
  CROSSKEY_ASSIGN_OR_RETURN(const bool first, store_.Complete(tx.db(), deletion_id, absl::ToUnixMicros(now_())));
  if (first) CountOnCommit(tx, NameOf(DeletionState::kCompleted));
  return first ? store_.SetRows(tx.db(), deletion_id, rows) : absl::OkStatus();
}

absl::Status Deletions::Recover(const Call& call) {
  const int64_t before = absl::ToUnixMicros(now_() - limits::kIntentRecoveryAge);
  std::vector<int64_t> stale;
  CROSSKEY_RETURN_IF_ERROR(outbox_.database().Read(call, [&](db::Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(stale, store_.StaleIntents(connection, before, kIntentsPerRound));
    return absl::OkStatus();
  }));
  absl::Status result;
  for (const int64_t deletion_id : stale) {
    CROSSKEY_RETURN_IF_ERROR(call.Check());
    // With a time of its own: that of the round may be nearly over. One that stays undecided does not hold up the others.
    const absl::StatusOr<Driven> driven = Drive(Detached(), deletion_id);
    result.Update(driven.status());
    if (!driven.ok()) continue;
    log::Info("recovered a deletion",
              {{"deletion_id", deletion_id}, {"state", static_cast<int64_t>(driven->deletion.state)}});
  }
  return result;
}

absl::StatusOr<absl::Duration> Deletions::OldestUnfinished(const Call& call) {
  absl::Duration age;
  CROSSKEY_RETURN_IF_ERROR(outbox_.database().Read(call, [&](db::Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const std::optional<int64_t> begun, store_.OldestUnfinished(connection));
    age = begun.has_value() ? std::max(absl::ZeroDuration(), now_() - absl::FromUnixMicros(*begun))
                            : absl::ZeroDuration();
    return absl::OkStatus();
  }));
  return age;
}

absl::StatusOr<bool> Deletions::Purge(const Call& call) {
  const int64_t before = absl::ToUnixMicros(now_() - limits::kDeletionRecordRetention);
  int64_t removed = 0;
  CROSSKEY_RETURN_IF_ERROR(outbox_.Transact(call, "deletion.purge", [&](events::Tx& tx) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(removed, store_.Purge(tx.db(), before, kRecordsPerPurge));
    return absl::OkStatus();
  }));
  return removed == kRecordsPerPurge;
}

}  // namespace crosskey::relation
