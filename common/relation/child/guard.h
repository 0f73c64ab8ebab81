// Writing rows that refer to another service's rows.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "common/events/outbox.h"
#include "common/relation/child/reference_sql.h"
#include "common/relation/child/reference_table.h"
#include "common/relation/peer.h"

namespace crosskey::relation {

// A foreign key check for the price of a local one. Thread-safe.
//
// The transaction locks the reference rows (shared, by ascending id) before it writes, and a release locks its row
// exclusively: so a write either commits before the release, and is released with the rest, or finds the tombstone. A
// parent without a reference row is looked up at its service outside of any transaction; the answer may be old when it
// is used, therefore the row is added only if absent and only behind the fence: if a deletion event later than the
// answer has been taken in, the answer is thrown away and asked for again.
class Guard {
 public:
  // All must outlive it.
  Guard(const ReferenceTable& table, const ReferenceSql& sql, events::Outbox& outbox, Peer& peer)
      : table_(table), sql_(sql), outbox_(outbox), peer_(peer) {}

  // What to do about a parent without a reference row. kMissing is for writes to rows that were there a moment ago: then so was
  // the reference, and who has lost it has been deleted.
  enum class Unknown { kAsk, kMissing };

  // Runs `body` in a transaction that holds the references to all `parents` (1 to 1,000 ids; order and duplicates do
  // not matter). `body` is as with events::Outbox::Transact and runs only if all parents are ACTIVE. `relationship` is named in
  // errors.
  //
  // FAILED_PRECONDITION FOREIGN_KEY_VIOLATION: one is deleted or never existed. ABORTED PARENT_DELETING: a deletion of
  // one is undecided. UNAVAILABLE PEER_UNAVAILABLE: one is not known here and its service does not answer (these two only with
  // kAsk). ABORTED CONFLICT: overtaken by deletions 5 times. In all these cases, and in every error of `body`, nothing is stored.
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

 private:
  // What keeps the body from running: parents to be looked up, because they are not known, or because the answer of the last
  // lookup was too old.
  struct Unlocked {
    std::vector<RowId> unknown;
  };
  struct Locked {};
  // Empty: the body has undone the transaction itself.
  using Stopped = std::optional<Unlocked>;

  absl::Status Run(const Call& call, const std::string& relationship, std::vector<RowId> parents, Unknown if_unknown,
                   absl::FunctionRef<absl::StatusOr<db::End>(events::Tx&)> body);
  absl::StatusOr<LookupAnswer> LookUp(const Call& call, const std::string& relationship, const std::vector<RowId>& ids);
  absl::StatusOr<std::optional<Unlocked>> Lock(events::Tx& tx, const std::string& relationship,
                                               const std::vector<RowId>& parents, const LookupAnswer& answer);

  const ReferenceTable& table_;
  const ReferenceSql& sql_;
  events::Outbox& outbox_;
  Peer& peer_;
};

// The fence: false if a deletion event after `as_of_sequence` has been taken in from the feed. Locks the checkpoint
// (shared), so it comes first in a transaction and holds until its end.
absl::StatusOr<bool> PassesFence(db::Tx& tx, const std::string& feed, Sequence as_of_sequence);

// Adds ACTIVE reference rows for parents that have none; a row that is there stays as it is, for it may be a tombstone.
absl::Status AddReferences(db::Tx& tx, const ReferenceSql& sql, const std::vector<Row>& parents);

}  // namespace crosskey::relation
