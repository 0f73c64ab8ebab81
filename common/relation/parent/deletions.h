// Deleting a row that another service refers to: intent, release, drop. The reclaim is the other service's.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/events/outbox.h"
#include "common/idempotency/recorder.h"
#include "common/relation/parent/deletion_store.h"
#include "common/relation/parent/parent_table.h"
#include "common/relation/peer.h"
#include "common/telemetry/metrics.h"

namespace crosskey::relation {

struct DeleteRequest {
  RowId id{};
  std::optional<Action> action;    // kRestrict or kCascade in place of the declared one
  std::optional<int64_t> version;  // delete only if the row still has it
  bool allow_missing = false;
  bool validate_only = false;
};

// Thread-safe. Several threads and processes may drive the same deletion: every step is idempotent, and the row's lock
// and the state INTENT decide who does it.
class Deletions {
 public:
  // `now` is the clock for the age of intents and for the recorded times.
  Deletions(const ParentTable& table, events::Outbox& outbox, Peer& peer, std::function<absl::Time()> now,
            telemetry::Metrics& metrics);

  // Deletes the row, or previews it. nullopt: allow_missing, and there is neither such a row nor a record of it.
  //
  // The answer's state is RECLAIMING, COMPLETED or PENDING; with validate_only it is kNone and `rows` what would go,
  // unless a deletion is under way already. From the moment the intent is stored the deletion goes on whatever happens
  // to the caller; that transaction records the deletion as it is then, INTENT. `record` may be empty.
  //
  // NOT_FOUND, ABORTED ETAG_MISMATCH, ABORTED PARENT_DELETING (an undecided deletion with another action),
  // FAILED_PRECONDITION RESTRICTED. UNAVAILABLE PEER_UNAVAILABLE: before the intent nothing was done; after it
  // (RESTRICT only) the outcome is open and the recovery finds it out.
  absl::StatusOr<std::optional<Deletion>> Delete(const Call& call, const DeleteRequest& request,
                                                 const idempotency::Record<Deletion>& record = nullptr);

  // Drives a deletion that was begun before, and returns it as it stands: as in the answer of Delete, or REFUSED. nullopt:
  // its record is no longer kept. UNAVAILABLE PEER_UNAVAILABLE: the outcome is still open.
  absl::StatusOr<std::optional<Deletion>> Resume(const Call& call, DeletionId deletion_id);

  // NOT_FOUND DELETION_NOT_FOUND.
  absl::StatusOr<Deletion> Latest(const Call& call, RowId id);

  // The reclaim is over: effect of the peer's event. A second one, or one for a deletion that is not under way, changes
  // nothing.
  absl::Status OnReclaimed(events::Tx& tx, const Reclaimed& reclaimed);

  // Drives the undecided deletions older than limits::kIntentRecoveryAge. An error: some of them are still undecided.
  absl::Status Recover(const Call& call);

  // The age of the oldest deletion that is INTENT, PENDING or RECLAIMING; zero if there is none.
  absl::StatusOr<absl::Duration> OldestUnfinished(const Call& call);

  // Removes the records of deletions that ended longer ago than limits::kDeletionRecordRetention, at most 1,000. Returns
  // whether there may be more.
  absl::StatusOr<bool> Purge(const Call& call);

 private:
  // What a look at the row and its latest deletion says has to be done.
  struct Situation {
    std::optional<ParentRow> parent;
    std::optional<Deletion> latest;
  };
  // How driving a deletion ended: decided, or refused with these rows.
  struct Driven {
    Deletion deletion;
    std::vector<errors::Referencing> refusing;
  };
  // A deletion as it stood after its feed's head was read.
  struct Dated {
    Sequence head{};
    Deletion deletion;
  };
  struct NotActive {};

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
