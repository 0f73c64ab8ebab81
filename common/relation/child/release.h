// Gives up the references to a row that its service wants to delete.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/events/outbox.h"
#include "common/relation/child/reference_sql.h"
#include "common/relation/child/reference_table.h"
#include "common/relation/peer.h"

namespace crosskey::relation {

// Works on the local database alone. Thread-safe.
class Release {
 public:
  Release(const ReferenceTable& table, const ReferenceSql& sql, events::Outbox& outbox)
      : table_(table), sql_(sql), outbox_(outbox) {}

  // Runs one transaction. Its commit is the moment at which all referring rows vanish for readers. Its cost does not
  // depend on their number (a refusal counts at most 1,000). Repeating it with the same deletion_id gives the same
  // answer. With validate_only it stores nothing and says what would happen.
  //
  // ABORTED CONFLICT: the reference row is absent and a deletion later than request.as_of_sequence has taken effect
  // here, so the request may be a duplicate that comes after everything is over; or the row is being reclaimed for
  // another deletion, or a repair is going on. FAILED_PRECONDITION HISTORY_MISMATCH: the row has another uid, or the
  // sender's feed does not go on from what was consumed here. INVALID_ARGUMENT: an override of a relationship that is
  // not known here.
  absl::StatusOr<ReleaseAnswer> Run(const Call& call, const ReleaseRequest& request);

 private:
  struct Reference {
    ReferenceState state = ReferenceState::kActive;
    DeletionId refused_through{};
  };

  absl::Status CheckOverrides(const ReleaseRequest& request) const;
  absl::StatusOr<ReleaseAnswer> Decide(events::Tx& tx, const ReleaseRequest& request);
  absl::StatusOr<ReleaseAnswer> Preview(db::Connection& connection, const ReleaseRequest& request);
  absl::StatusOr<Reference> LockOrInsert(events::Tx& tx, const ReleaseRequest& request);
  // Returns the relationships that have rows and whose action in this deletion is RESTRICT.
  absl::StatusOr<std::vector<errors::Referencing>> Refusing(db::Connection& connection, const ReleaseRequest& request);

  const ReferenceTable& table_;
  const ReferenceSql& sql_;
  events::Outbox& outbox_;
};

}  // namespace crosskey::relation
