// What a parent's events do to its reference row. The consumer runs these effects in its transaction, after it has
// moved the checkpoint.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/events/consumer.h"
#include "common/events/outbox.h"
#include "common/relation/child/reference_sql.h"
#include "common/relation/child/reference_table.h"

namespace crosskey::relation {

// Thread-safe.
class ParentEvents {
 public:
  ParentEvents(const ReferenceTable& table, const ReferenceSql& sql) : table_(table), sql_(sql) {}

  // Tells the consumer what to do with the events that the protos declare for the parent's type.
  void Consume(events::Consumer& consumer) const;

  // Adds the reference row ahead of time, which saves the first guarded write its lookup. An existing row stays as it
  // is: it may be a tombstone, and the parent must not come back.
  absl::Status OnCreated(events::Tx& tx, const Row& parent) const;

  // These parents (1 to 1,000) are gone for good, so their reference rows become RECLAIMING, even where the release did
  // not arrive or was refused before. The reclaim may then remove the child rows. A parent without a reference row has
  // no child rows, and because of the fence never gets any: it is reported as reclaimed at once. FAILED_PRECONDITION
  // HISTORY_MISMATCH: a row has another uid.
  absl::Status OnDeleted(events::Tx& tx, const std::vector<Row>& parents, DeletionId deletion_id) const;
  // The same for a deletion whose event is skipped by a repair. A row with another uid is of another parent.
  absl::Status TakeOver(events::Tx& tx, const Row& parent, DeletionId deletion_id) const;

 private:
  void Report(events::Tx& tx, const Row& parent, DeletionId deletion_id) const;

  const ReferenceTable& table_;
  const ReferenceSql& sql_;
};

}  // namespace crosskey::relation
