// Writing rows that refer to another service's rows.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/events/outbox.h"
#include "common/relation/peer.h"
#include "common/relation/reference_sql.h"
#include "common/relation/reference_table.h"

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
  // not matter). `body` runs only if all of them are ACTIVE; it may run several times. `relationship` is named in
  // errors.
  //
  // FAILED_PRECONDITION FOREIGN_KEY_VIOLATION: one is deleted or never existed. ABORTED PARENT_DELETING: a deletion of
  // one is undecided. UNAVAILABLE PEER_UNAVAILABLE: one is not known here and its service does not answer (these two only with
  // kAsk). ABORTED CONFLICT: overtaken by deletions 5 times. In all these cases, and in every error of `body`, nothing is stored.
  absl::Status Write(const Call& call, const std::string& relationship, std::vector<int64_t> parents,
                     const std::function<absl::Status(events::Tx&)>& body, Unknown if_unknown = Unknown::kAsk);

 private:
  enum class Missing { kNone, kUnknown, kFenced };

  absl::StatusOr<LookupAnswer> LookUp(const Call& call, const std::string& relationship,
                                      const std::vector<int64_t>& ids);
  absl::StatusOr<Missing> Lock(events::Tx& tx, const std::string& relationship, const std::vector<int64_t>& parents,
                               const LookupAnswer& answer, std::vector<int64_t>& unknown);

  const ReferenceTable& table_;
  const ReferenceSql& sql_;
  events::Outbox& outbox_;
  Peer& peer_;
};

// The fence: false if a deletion event after `as_of_sequence` has been taken in from the feed. Locks the checkpoint
// (shared), so it comes first in a transaction and holds until its end.
absl::StatusOr<bool> PassesFence(db::Tx& tx, const std::string& feed, int64_t as_of_sequence);

// Adds ACTIVE reference rows for parents that have none; a row that is there stays as it is, for it may be a tombstone.
absl::Status AddReferences(db::Tx& tx, const ReferenceSql& sql, const std::vector<Found>& parents);

}  // namespace crosskey::relation
