#include "common/relation/parent/deletions.h"

#include <algorithm>

#include "common/events/events_sql.h"
#include "common/events/feed.h"
#include "common/relation/row_events.h"
#include "common/status/errors.h"
#include "common/status/limits.h"
#include "common/telemetry/log.h"

namespace crosskey::relation {
namespace {

constexpr int kIntentsPerRound = 100;
constexpr int kRecordsPerPurge = 1000;
constexpr absl::Duration kLongest = absl::Minutes(5);     // for what the peer consumes
constexpr absl::Duration kLook = absl::Milliseconds(50);  // between two looks at what the peer has consumed

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

// Once its intent is stored, a deletion goes on whatever happens to the caller. So it is driven under a call of its
// own, to which Drive gives the trace of the call that began the deletion.
Call Detached() { return Call::Background(limits::kDefaultDeadline); }

}  // namespace

Deletions::Deletions(const ParentTable& table, events::Outbox& outbox, Peer& peer, std::function<absl::Time()> now,
                     telemetry::Metrics& metrics)
    : table_(table), store_(table), outbox_(outbox), peer_(peer), now_(std::move(now)) {
  // The counters exist from the beginning, so a count of 0 is shown as 0 and not as a metric that is missing.
  for (const DeletionState state :
       {DeletionState::kRefused, DeletionState::kPending, DeletionState::kReclaiming, DeletionState::kCompleted}) {
    reached_[state] = &metrics.Counter("crosskey_deletions_total", "Deletions that have reached this state.",
                                       {{"state", NameOf(state)}});
  }
}

void Deletions::CountOnCommit(events::Tx& tx, DeletionState state) {
  tx.OnCommit([counter = reached_.at(state)] { counter->Increment(); });
}

bool Deletions::CanBeRefused(Action action) const {
  if (action == Action::kRestrict) return true;
  return std::any_of(table_.references.begin() + 1, table_.references.end(),
                     [](const Declaration& d) { return d.on_delete == Action::kRestrict; });
}

ReleaseRequest Deletions::MakeRelease(const Row& parent, Action action) const {
  ReleaseRequest release;
  release.type = table_.type;
  release.parent = parent;
  release.overrides = {{table_.references.front().relationship, action}};
  return release;
}

absl::StatusOr<Deletions::Situation> Deletions::Look(const Call& call, RowId id) {
  return outbox_.database().Read(call, [&](db::Connection& connection) -> absl::StatusOr<Situation> {
    Situation situation;
    CROSSKEY_ASSIGN_OR_RETURN(situation.parent, store_.FindParent(connection, id));
    CROSSKEY_ASSIGN_OR_RETURN(situation.latest, store_.Latest(connection, id));
    return situation;
  });
}

absl::StatusOr<std::optional<Deletion>> Deletions::Delete(const Call& call, const DeleteRequest& request,
                                                          const idempotency::Record<Deletion>& record) {
  const Action action = request.action.value_or(table_.references.front().on_delete);
  for (int round = 0; round < limits::kConsistencyRounds; ++round) {
    CROSSKEY_ASSIGN_OR_RETURN(const Situation now, Look(call, request.id));
    if (!now.parent.has_value()) return AnswerMissing(request, action, now.latest);
    const ParentRow& parent = *now.parent;
    if (request.version.has_value() && *request.version != parent.version) {
      return errors::EtagMismatch(table_.type, request.id);
    }
    DeletionId deletion_id{};
    if (parent.state == ParentState::kDeleting) {
      // The row and its deletion were read one after the other. If they do not fit together, look again.
      if (!now.latest.has_value() || now.latest->state != DeletionState::kIntent) continue;
      if (now.latest->action != action) return errors::ParentDeleting(table_.type, request.id);
      if (request.validate_only) return now.latest;
      deletion_id = now.latest->deletion_id;
    } else {
      if (request.validate_only) {
        CROSSKEY_ASSIGN_OR_RETURN(Deletion preview, Preview(call, parent.row, action));
        return preview;
      }
      // Refusals are answered without an intent as far as possible.
      if (CanBeRefused(action)) CROSSKEY_RETURN_IF_ERROR(AskPeer(call, parent.row, action, false).status());
      CROSSKEY_ASSIGN_OR_RETURN(const auto begun, Begin(call, request, action, record));
      const auto* own = std::get_if<DeletionId>(&begun);
      if (own == nullptr) continue;
      deletion_id = *own;
    }
    const bool joined = parent.state == ParentState::kDeleting;
    CROSSKEY_ASSIGN_OR_RETURN(const Driven driven, Drive(Detached(), deletion_id));
    if (driven.deletion.state != DeletionState::kRefused) return driven.deletion;
    // If this call has only joined the deletion, it may have been refused long ago. If `refusing` is empty, another
    // driver has heard the refusal. In both cases ask again, so that the answer can name the rows as they are now.
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

// Asks whether the peer would release the row now, and with `count` how many rows refer to it. FAILED_PRECONDITION
// RESTRICTED: it would refuse.
absl::StatusOr<ReleaseAnswer> Deletions::AskPeer(const Call& call, const Row& parent, Action action, bool count) {
  ReleaseRequest release = MakeRelease(parent, action);
  release.validate_only = true;
  release.without_counts = !count;
  CROSSKEY_ASSIGN_OR_RETURN(ReleaseAnswer answer, peer_.Release(call, release));
  if (!answer.released) return errors::Restricted(table_.type, parent.id, answer.counts);
  return answer;
}

absl::StatusOr<Deletion> Deletions::Preview(const Call& call, const Row& parent, Action action) {
  CROSSKEY_ASSIGN_OR_RETURN(const ReleaseAnswer answer, AskPeer(call, parent, action, true));
  Deletion preview;
  preview.parent = parent;
  preview.action = action;
  for (const errors::Referencing& count : answer.counts) preview.rows[count.relationship] = count.rows;
  return preview;
}

absl::StatusOr<std::optional<Deletion>> Deletions::Resume(const Call& call, DeletionId deletion_id) {
  CROSSKEY_ASSIGN_OR_RETURN(
      std::optional<Deletion> deletion,
      outbox_.database().Read(call, [&](db::Connection& connection) { return store_.Find(connection, deletion_id); }));
  if (!deletion.has_value() || deletion->state != DeletionState::kIntent) return deletion;
  CROSSKEY_ASSIGN_OR_RETURN(const Driven driven, Drive(Detached(), deletion_id));
  return driven.deletion;
}

// Step 1, the intent. Rolls back with NotActive if the row is not ACTIVE any more; then the caller must look again.
absl::StatusOr<std::variant<DeletionId, db::RollBack<Deletions::NotActive>>> Deletions::Begin(
    const Call& call, const DeleteRequest& request, Action action, const idempotency::Record<Deletion>& record) {
  using Begun = db::Either<DeletionId, NotActive>;
  return outbox_.Transact(call, "deletion.intent", [&](events::Tx& tx) -> absl::StatusOr<Begun> {
    CROSSKEY_ASSIGN_OR_RETURN(const std::optional<ParentRow> parent, store_.LockParent(tx.db(), request.id));
    if (!parent.has_value() || parent->state != ParentState::kActive) return Begun(db::RollBack<NotActive>{});
    if (request.version.has_value() && *request.version != parent->version) {
      return errors::EtagMismatch(table_.type, request.id);
    }
    Deletion deletion;
    deletion.parent = parent->row;
    deletion.action = action;
    deletion.state = DeletionState::kIntent;
    deletion.create_time = absl::ToUnixMicros(now_());
    if (call.caller != nullptr) deletion.requested_by = call.caller->principal;
    CROSSKEY_ASSIGN_OR_RETURN(deletion.deletion_id, store_.Insert(tx.db(), parent->row, action, deletion.create_time,
                                                                  call.traceparent, deletion.requested_by));
    CROSSKEY_RETURN_IF_ERROR(store_.SetParentState(tx.db(), request.id, ParentState::kDeleting));
    if (record) CROSSKEY_RETURN_IF_ERROR(record(tx.db(), deletion));
    return Begun(deletion.deletion_id);
  });
}

// Reads the head first and the state after it. While the state is INTENT, the deletion event still has to get a number,
// which is higher than this head: once the peer has consumed that event, a release with this head does not pass the
// fence. In the other order a release could pass the fence although its deletion was decided before.
absl::StatusOr<Deletions::Dated> Deletions::Date(const Call& call, DeletionId deletion_id) {
  return outbox_.database().Read(call, [&](db::Connection& connection) -> absl::StatusOr<Dated> {
    CROSSKEY_ASSIGN_OR_RETURN(const events::FeedInfo feed, events::Feed::Read(connection));
    CROSSKEY_ASSIGN_OR_RETURN(std::optional<Deletion> found, store_.Find(connection, deletion_id));
    if (!found.has_value()) return absl::InternalError("a deletion record has vanished");
    return Dated{feed, *std::move(found)};
  });
}

// Takes an INTENT through steps 2 and 3. A deletion that is decided already is returned at once.
absl::StatusOr<Deletions::Driven> Deletions::Drive(Call call, DeletionId deletion_id) {
  Deletion deletion;
  for (int round = 0; round < limits::kConsistencyRounds; ++round) {
    CROSSKEY_ASSIGN_OR_RETURN(const Dated dated, Date(call, deletion_id));
    deletion = dated.deletion;
    if (deletion.state != DeletionState::kIntent) return Driven{deletion, {}};
    call.traceparent = deletion.traceparent;

    ReleaseRequest release = MakeRelease(deletion.parent, deletion.action);
    release.deletion_id = deletion_id;
    release.as_of_sequence = dated.feed.head;
    release.feed_id = dated.feed.feed_id;
    const absl::Time asked = absl::Now();
    const absl::StatusOr<ReleaseAnswer> answer = peer_.Release(call, release);
    // An answer that was long under way may be of a database that was restored meanwhile.
    if (answer.ok() && absl::Now() - asked > limits::kAnswerAge) continue;
    if (answer.ok()) {
      const DeletionState state = answer->released ? DeletionState::kReclaiming : DeletionState::kRefused;
      CROSSKEY_ASSIGN_OR_RETURN(Deletion decided, Decide(call, deletion, state, ""));
      return Driven{std::move(decided), answer->counts};
    }
    if (!absl::IsAborted(answer.status())) break;
  }
  // No definite answer. A deletion that cannot be refused goes on, and its event does what the release would have done.
  if (!CanBeRefused(deletion.action)) {
    CROSSKEY_ASSIGN_OR_RETURN(Deletion decided, Decide(call, deletion, DeletionState::kPending,
                                                       PeerIsAway() + "; its rows stay visible until it is back"));
    return Driven{std::move(decided), {}};
  }
  const absl::Status noted = NoteBlocked(call, deletion_id);
  if (!noted.ok()) log::Warning("could not note why a deletion is blocked", {{"deletion_id", Value(deletion_id)}});
  // Whatever the error was, the intent is stored and its outcome is open.
  return errors::PeerUnavailable(PeerName());
}

// Step 3: the drop, or the refusal. Returns the deletion as it stands afterwards, whoever decided it.
absl::StatusOr<Deletion> Deletions::Decide(const Call& call, const Deletion& deletion, DeletionState state,
                                           const std::string& blocked_reason) {
  return outbox_.Transact(call, "deletion.decide", [&](events::Tx& tx) -> absl::StatusOr<Deletion> {
    const bool refused = state == DeletionState::kRefused;
    const Row& parent = deletion.parent;
    CROSSKEY_RETURN_IF_ERROR(store_.LockParent(tx.db(), parent.id).status());
    std::optional<int64_t> end;
    if (refused) end = absl::ToUnixMicros(now_());
    CROSSKEY_ASSIGN_OR_RETURN(const bool first,
                              store_.Decide(tx.db(), deletion.deletion_id, state, blocked_reason, end));
    if (first) CountOnCommit(tx, state);
    if (first && refused) {
      CROSSKEY_RETURN_IF_ERROR(store_.SetParentState(tx.db(), parent.id, ParentState::kActive));
    } else if (first) {
      CROSSKEY_RETURN_IF_ERROR(store_.RemoveParent(tx.db(), parent.id));
      const std::string subject = errors::ResourceName(table_.type, parent.id);
      for (auto& event : MakeDeleted(*table_.events.deleted, subject, {parent}, deletion.deletion_id)) {
        tx.Append(std::move(event));
      }
    }
    CROSSKEY_ASSIGN_OR_RETURN(std::optional<Deletion> decided, store_.Find(tx.db(), deletion.deletion_id));
    if (!decided.has_value()) return absl::InternalError("a deletion record has vanished");
    return *std::move(decided);
  });
}

absl::Status Deletions::NoteBlocked(const Call& call, DeletionId deletion_id) {
  return outbox_.Transact(call, "deletion.note_blocked",
                          [&](events::Tx& tx) { return store_.SetBlocked(tx.db(), deletion_id, PeerIsAway()); });
}

absl::StatusOr<Deletion> Deletions::Latest(const Call& call, RowId id) {
  CROSSKEY_ASSIGN_OR_RETURN(const Situation now, Look(call, id));
  if (!now.latest.has_value()) return errors::DeletionNotFound(table_.type, id);
  return *now.latest;
}

absl::StatusOr<std::vector<OpenDeletion>> Deletions::Open(const Call& call, DeletionId after, int limit) {
  return outbox_.database().Read(call,
                                 [&](db::Connection& connection) { return store_.Open(connection, after, limit); });
}

absl::StatusOr<bool> Deletions::IsOpen(const Call& call, DeletionId deletion_id) {
  CROSSKEY_ASSIGN_OR_RETURN(
      const std::optional<Deletion> found,
      outbox_.database().Read(call, [&](db::Connection& connection) { return store_.Find(connection, deletion_id); }));
  return found.has_value() && found->state != DeletionState::kIntent && IsUnderWay(found->state);
}

// The events of deletions that were read at this time have been appended before it. So the head covers them once all
// that was appended before has a number.
absl::StatusOr<std::optional<events::FeedInfo>> Deletions::HeadOver(const Call& call, absl::Time read) {
  return outbox_.database().Read(
      call, [&](db::Connection& connection) -> absl::StatusOr<std::optional<events::FeedInfo>> {
        CROSSKEY_ASSIGN_OR_RETURN(
            const auto any, connection.QueryOne<int64_t>(events::sql::kUnnumberedBefore, absl::ToUnixMicros(read)));
        if (any.has_value()) return std::nullopt;
        CROSSKEY_ASSIGN_OR_RETURN(events::FeedInfo feed, events::Feed::Read(connection));
        return feed;
      });
}

absl::StatusOr<std::optional<std::vector<OpenDeletion>>> Deletions::AwaitOver(RepairPeer& peer,
                                                                              const std::vector<OpenDeletion>& open,
                                                                              absl::Duration patience) {
  const absl::Time read = absl::Now();
  const absl::Time longest = read + kLongest;
  std::vector<RowId> ids;
  for (const OpenDeletion& deletion : open) ids.push_back(deletion.row.id);
  std::optional<events::FeedInfo> head;
  Sequence before{};
  for (absl::Time until = read + patience; absl::Now() < std::min(until, longest); absl::SleepFor(kLook)) {
    const Call call = Call::Background(limits::kDefaultDeadline);
    if (!head.has_value()) {
      CROSSKEY_ASSIGN_OR_RETURN(head, HeadOver(call, read));
      if (!head.has_value()) continue;
    }
    CROSSKEY_ASSIGN_OR_RETURN(const ReferencesAnswer answer, peer.FindReferences(call, table_.type, ids));
    const bool goes_on = answer.state == events::HistoryState::kGoesOn && answer.feed_id == head->feed_id;
    if (goes_on && answer.last_sequence >= head->head) return NotReferredTo(open, answer);
    if (goes_on && answer.last_sequence > before) until = absl::Now() + patience;
    before = answer.last_sequence;
  }
  return std::nullopt;
}

std::vector<OpenDeletion> Deletions::NotReferredTo(const std::vector<OpenDeletion>& open,
                                                   const ReferencesAnswer& answer) {
  std::map<RowId, std::string> referred;
  for (const Row& row : answer.found) referred[row.id] = row.uid;
  std::vector<OpenDeletion> over;
  for (const OpenDeletion& deletion : open) {
    const auto row = referred.find(deletion.row.id);
    if (row == referred.end() || row->second != deletion.row.uid) over.push_back(deletion);
  }
  return over;
}

absl::Status Deletions::OnReclaimed(events::Tx& tx, const Reclaimed& reclaimed) {
  const DeletionId deletion_id = reclaimed.deletion_id;
  CROSSKEY_ASSIGN_OR_RETURN(const bool first,
                            store_.Complete(tx.db(), deletion_id, reclaimed.parent.uid, absl::ToUnixMicros(now_())));
  if (!first) return absl::OkStatus();
  CountOnCommit(tx, DeletionState::kCompleted);
  return store_.SetRows(tx.db(), deletion_id, reclaimed.rows);
}

absl::Status Deletions::Recover(const Call& call) {
  const int64_t before = absl::ToUnixMicros(now_() - limits::kIntentRecoveryAge);
  CROSSKEY_ASSIGN_OR_RETURN(const std::vector<DeletionId> stale,
                            outbox_.database().Read(call, [&](db::Connection& connection) {
                              return store_.StaleIntents(connection, before, kIntentsPerRound);
                            }));
  absl::Status result;
  for (const DeletionId deletion_id : stale) {
    CROSSKEY_RETURN_IF_ERROR(call.Check());
    // Each deletion has a deadline of its own, because that of the round may be near. One that stays undecided does not
    // hold up the others.
    const absl::StatusOr<Driven> driven = Drive(Detached(), deletion_id);
    result.Update(driven.status());
    if (!driven.ok()) continue;
    log::Info("recovered a deletion",
              {{"deletion_id", Value(deletion_id)}, {"state", static_cast<int64_t>(driven->deletion.state)}});
  }
  return result;
}

absl::StatusOr<absl::Duration> Deletions::OldestUnfinished(const Call& call) {
  CROSSKEY_ASSIGN_OR_RETURN(
      const std::optional<int64_t> begun,
      outbox_.database().Read(call, [&](db::Connection& connection) { return store_.OldestUnfinished(connection); }));
  if (!begun.has_value()) return absl::ZeroDuration();
  return std::max(absl::ZeroDuration(), now_() - absl::FromUnixMicros(*begun));
}

absl::StatusOr<bool> Deletions::Purge(const Call& call) {
  const int64_t before = absl::ToUnixMicros(now_() - limits::kDeletionRecordRetention);
  CROSSKEY_ASSIGN_OR_RETURN(const int64_t removed, outbox_.Transact(call, "deletion.purge", [&](events::Tx& tx) {
    return store_.Purge(tx.db(), before, kRecordsPerPurge);
  }));
  return removed == kRecordsPerPurge;
}

}  // namespace crosskey::relation
