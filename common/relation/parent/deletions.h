// Deletes a row that another service refers to: intent, release, drop. The reclaim is done by the other service.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/events/feed.h"
#include "common/events/outbox.h"
#include "common/idempotency/recorder.h"
#include "common/relation/parent/deletion_store.h"
#include "common/relation/parent/parent_table.h"
#include "common/relation/peer.h"
#include "common/relation/repair_peer.h"
#include "common/telemetry/metrics.h"

namespace crosskey::relation {

struct DeleteRequest {
  RowId id{};
  std::optional<Action> action;    // kRestrict or kCascade in place of the declared one
  std::optional<int64_t> version;  // delete only if the row still has it
  bool allow_missing = false;
  bool validate_only = false;
};

// Thread-safe. Several threads and processes may drive the same deletion: every step is idempotent, and a decision is
// taken only by the driver that finds the state INTENT under the row's lock.
class Deletions {
 public:
  // `now` is the clock for the age of intents and for the recorded times.
  Deletions(const ParentTable& table, events::Outbox& outbox, Peer& peer, std::function<absl::Time()> now,
            telemetry::Metrics& metrics);

  // Deletes the row, or previews it. nullopt: with allow_missing, if there is neither such a row nor a record of its
  // deletion.
  //
  // The answer's state is RECLAIMING, COMPLETED or PENDING. With validate_only it is kNone, and `rows` says what would
  // be deleted, unless a deletion is under way already: then that one is the answer.
  //
  // Once the intent is stored, the deletion goes on whatever happens to the caller. So the transaction of the intent
  // calls `record` already, with the deletion as it is then, INTENT. `record` may be empty.
  //
  // NOT_FOUND, ABORTED ETAG_MISMATCH, ABORTED PARENT_DELETING (an undecided deletion with another action),
  // FAILED_PRECONDITION RESTRICTED. ABORTED CONFLICT: other deletions of the row interfered in each of 5 rounds.
  // UNAVAILABLE PEER_UNAVAILABLE: before the intent nothing was done; after it (only if the deletion can be refused)
  // the outcome is open and the recovery finds it out.
  absl::StatusOr<std::optional<Deletion>> Delete(const Call& call, const DeleteRequest& request,
                                                 const idempotency::Record<Deletion>& record = nullptr);

  // Drives a deletion that was begun before, and returns it as it stands then: in a state that Delete answers, or
  // REFUSED. nullopt: its record is no longer kept. UNAVAILABLE PEER_UNAVAILABLE: the outcome is still open.
  absl::StatusOr<std::optional<Deletion>> Resume(const Call& call, DeletionId deletion_id);

  // Returns the latest deletion of the row, as recorded. NOT_FOUND DELETION_NOT_FOUND.
  absl::StatusOr<Deletion> Latest(const Call& call, RowId id);

  // The deletions that are PENDING or RECLAIMING, by ascending id.
  absl::StatusOr<std::vector<OpenDeletion>> Open(const Call& call, DeletionId after, int limit);
  absl::StatusOr<bool> IsOpen(const Call& call, DeletionId deletion_id);
  // Those of `open`, at most 1,000 that have just been read, that are over at the peer: it has consumed the deletion's
  // event, and refers to the row no more. Waits until it has consumed the events, as long as it goes on to consume.
  // nullopt: it has not for `patience`, or not within 5 minutes.
  absl::StatusOr<std::optional<std::vector<OpenDeletion>>> AwaitOver(RepairPeer& peer,
                                                                     const std::vector<OpenDeletion>& open,
                                                                     absl::Duration patience);

  // The effect of the peer's event that the reclaim is over: the deletion becomes COMPLETED. A second event, or one for
  // a deletion that is neither PENDING nor RECLAIMING, changes nothing.
  absl::Status OnReclaimed(events::Tx& tx, const Reclaimed& reclaimed);

  // Drives the undecided deletions older than limits::kIntentRecoveryAge, at most 100. An error: some of them are still
  // undecided.
  absl::Status Recover(const Call& call);

  // The age of the oldest deletion that is INTENT, PENDING or RECLAIMING; zero if there is none.
  absl::StatusOr<absl::Duration> OldestUnfinished(const Call& call);

  // Removes at most 1,000 records of deletions that ended longer ago than limits::kDeletionRecordRetention. Returns
  // whether there may be more.
  absl::StatusOr<bool> Purge(const Call& call);

 private:
  // The row and its latest deletion, read one after the other and without a lock.
  struct Situation {
    std::optional<ParentRow> parent;
    std::optional<Deletion> latest;
  };
  // The deletion, decided. `refusing` says what has refused it; empty if another driver has heard the refusal.
  struct Driven {
    Deletion deletion;
    std::vector<errors::Referencing> refusing;
  };
  // The own feed, and the deletion as it was read after that.
  struct Dated {
    events::FeedInfo feed;
    Deletion deletion;
  };
  struct NotActive {};

  absl::StatusOr<std::optional<events::FeedInfo>> HeadOver(const Call& call, absl::Time read);
  static std::vector<OpenDeletion> NotReferredTo(const std::vector<OpenDeletion>& open, const ReferencesAnswer& answer);
  absl::StatusOr<Situation> Look(const Call& call, RowId id);
  absl::StatusOr<std::optional<Deletion>> AnswerMissing(const DeleteRequest& request, Action action,
                                                        const std::optional<Deletion>& latest) const;
  absl::StatusOr<Deletion> Preview(const Call& call, const Row& parent, Action action);
  absl::StatusOr<std::variant<DeletionId, db::RollBack<NotActive>>> Begin(const Call& call,
                                                                          const DeleteRequest& request, Action action,
                                                                          const idempotency::Record<Deletion>& record);
  absl::StatusOr<Dated> Date(const Call& call, DeletionId deletion_id);
  absl::StatusOr<Driven> Drive(Call call, DeletionId deletion_id);
  absl::StatusOr<Deletion> Decide(const Call& call, const Deletion& deletion, DeletionState state,
                                  const std::string& blocked_reason);
  absl::Status NoteBlocked(const Call& call, DeletionId deletion_id);
  absl::StatusOr<ReleaseAnswer> AskPeer(const Call& call, const Row& parent, Action action, bool count);
  ReleaseRequest MakeRelease(const Row& parent, Action action) const;
  bool CanBeRefused(Action action) const;
  void CountOnCommit(events::Tx& tx, DeletionState state);
  const std::string& PeerName() const { return table_.peers.front(); }
  std::string PeerIsAway() const { return PeerName() + " does not answer"; }

  const ParentTable& table_;
  const DeletionStore store_;
  events::Outbox& outbox_;
  Peer& peer_;
  const std::function<absl::Time()> now_;
  std::map<DeletionState, prometheus::Counter*> reached_;
};

}  // namespace crosskey::relation
