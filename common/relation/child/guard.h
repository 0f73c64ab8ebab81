// Writes rows that refer to another service's rows.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "common/events/feed.h"
#include "common/events/outbox.h"
#include "common/relation/child/reference_sql.h"
#include "common/relation/child/reference_table.h"
#include "common/relation/peer.h"

namespace crosskey::relation {

// The reference rows that a transaction for several writes has locked.
class Held {
 public:
  Held(const ReferenceTable& table, std::map<RowId, ReferenceState> states)
      : table_(table), states_(std::move(states)) {}

  // Whether a write may go on that refers to these parents. OK: all are ACTIVE, and stay so until the end of the
  // transaction. FAILED_PRECONDITION FOREIGN_KEY_VIOLATION: one of them is deleted; `relationship` is named in the
  // error. nullopt: it cannot be said here, so the write has to be done alone, by Guard::Write.
  std::optional<absl::Status> Check(const std::string& relationship, const std::vector<RowId>& parents) const;

 private:
  const ReferenceTable& table_;
  std::map<RowId, ReferenceState> states_;
};

// A foreign key check for the price of a local one. Thread-safe.
//
// The transaction locks the reference rows (shared, by ascending id) before it writes, and a release locks its row
// exclusively. So a write either commits before the release, and is released with the rest, or finds the tombstone.
//
// A parent without a reference row is looked up at its service, outside of any transaction. The answer may be old when
// it is used. So the reference row is added only if it is still absent, and only if the answer passes the fence: if a
// deletion event later than the answer has taken effect here, the answer is thrown away and the parent looked up again.
class Guard {
 public:
  // All must outlive it.
  Guard(const ReferenceTable& table, const ReferenceSql& sql, events::Outbox& outbox, Peer& peer)
      : table_(table), sql_(sql), outbox_(outbox), peer_(peer) {}

  // What to do about a parent without a reference row: ask its service, or take it for deleted without asking. kMissing
  // is for a write to a child row that existed a moment ago. Its parent had a reference row then, and a reference row
  // is removed only after its parent was deleted.
  enum class Unknown { kAsk, kMissing };

  // Runs `body` in a transaction that holds the references to all `parents` (1 to 1,000 ids; order and duplicates do
  // not matter). `body` is what events::Outbox::Transact takes, and runs only if all parents are ACTIVE. `relationship`
  // is named in errors.
  //
  // FAILED_PRECONDITION FOREIGN_KEY_VIOLATION: a parent is deleted or never existed. With kAsk also ABORTED
  // PARENT_DELETING (the deletion of a parent is undecided), UNAVAILABLE PEER_UNAVAILABLE (a parent is not known here
  // and its service does not answer) and ABORTED CONFLICT (deletions have overtaken 5 lookups). In all these cases, and
  // in every error of `body`, nothing is stored.
  template <typename Body>
  std::invoke_result_t<Body&, events::Tx&> Write(const Call& call, const std::string& relationship,
                                                 std::vector<RowId> parents, Body&& body,
                                                 Unknown if_unknown = Unknown::kAsk) {
    std::optional<std::invoke_result_t<Body&, events::Tx&>> result;
    const absl::Status status = Run(call, relationship, std::move(parents), if_unknown, [&](events::Tx& tx) {
      result.emplace(body(tx));
      return db::EndOf(*result);
    });
    if (!status.ok()) return status;
    return *std::move(result);
  }

  // Runs `body`, which is called with (events::Tx&, const Held&), in a transaction for several writes. It locks the
  // references to all `parents` (1 to 1,000 ids; order and duplicates do not matter) that have a reference row here
  // which nobody else has locked, so that a release of one parent holds up the writes to that parent alone. Asks no
  // other service. `body` must do only the writes for which Held::Check says OK.
  template <typename Body>
  std::invoke_result_t<Body&, events::Tx&, const Held&> WriteTogether(const Call& call, std::vector<RowId> parents,
                                                                      Body&& body) {
    std::sort(parents.begin(), parents.end());
    parents.erase(std::unique(parents.begin(), parents.end()), parents.end());
    using Result = std::invoke_result_t<Body&, events::Tx&, const Held&>;
    return outbox_.Transact(call, "guarded_write", [&](events::Tx& tx) -> Result {
      CROSSKEY_ASSIGN_OR_RETURN(const Held held, Hold(tx, parents));
      return body(tx, held);
    });
  }

 private:
  // The body could not run because these parents have to be looked up: they have no reference row, or the answer of the
  // last lookup did not pass the fence.
  struct Unlocked {
    std::vector<RowId> unknown;
  };
  struct Locked {};
  // Why the transaction was rolled back without an error. Empty: the body has asked for it.
  using Stopped = std::optional<Unlocked>;
  // The answer cannot be used.
  static Unlocked AskAgain(const LookupAnswer& answer);

  absl::Status Run(const Call& call, const std::string& relationship, std::vector<RowId> parents, Unknown if_unknown,
                   absl::FunctionRef<absl::StatusOr<db::End>(events::Tx&)> body);
  absl::StatusOr<LookupAnswer> LookUp(const Call& call, const std::string& relationship, const std::vector<RowId>& ids);
  absl::StatusOr<Held> Hold(events::Tx& tx, const std::vector<RowId>& parents);
  absl::StatusOr<std::optional<Unlocked>> Lock(events::Tx& tx, const std::string& relationship,
                                               const std::vector<RowId>& parents, const LookupAnswer& answer);

  const ReferenceTable& table_;
  const ReferenceSql& sql_;
  events::Outbox& outbox_;
  Peer& peer_;
};

// What an answer or a request of a feed's service has to pass before a reference row is added.
struct Fence {
  std::string feed;
  std::string feed_id;       // the history that is consumed; empty: nothing has been consumed yet
  Sequence last{};           // the last event that has taken effect here; -1 in a repair
  Sequence last_deletion{};  // the last deletion event that has
  events::HistoryState state = events::HistoryState::kGoesOn;
  std::string reason;

  // FAILED_PRECONDITION HISTORY_MISMATCH: the feed does not go on from what was consumed, so what its service says now
  // may not fit to the reference rows.
  absl::Status CheckHistory() const;
  // Whether this is the history that is consumed. An empty one is of a release that does not say.
  bool IsOf(const std::string& other) const;
  // False if a deletion event after `as_of` has taken effect here, if it belongs to another history (numbers of two
  // histories are never compared), or if no feed can be so far ahead (limits::kEventsInFlight).
  bool Passes(const std::string& of_feed, Sequence as_of) const;
};

// Locks the checkpoint row (shared) until the end of the transaction, so the consumer cannot move it meanwhile, no
// repair can begin or end, and the fence stays as it is. Must come first in a transaction, because the checkpoint is
// locked before reference rows everywhere. `parent` is a row that this is about, any of them.
absl::StatusOr<Fence> LockFence(db::Tx& tx, const std::string& feed, RowId parent);

// On a cluster, locks the references to these parents on all servers: see common/db/cluster_locks.h. To be called
// before the reference rows themselves are locked, by whoever locks them.
absl::Status LockReferences(db::Tx& tx, const ReferenceTable& table, const std::vector<RowId>& parents);

// Adds ACTIVE reference rows for parents that have none. An existing row stays as it is, because it may be a tombstone.
absl::Status AddReferences(db::Tx& tx, const ReferenceSql& sql, const std::vector<Row>& parents);

// `uid` is that of the parent's reference row. FAILED_PRECONDITION HISTORY_MISMATCH: it is another one.
absl::Status CheckUid(const ReferenceTable& table, const Row& parent, const std::string& uid);

}  // namespace crosskey::relation
