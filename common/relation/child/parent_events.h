// What a parent's events do to its reference row. Effects of the consumer: they run in its transaction, after the
// checkpoint.
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

  // Takes the events in that the protos declare for the parent's type.
  void Consume(events::Consumer& consumer) const;

  // A hint that saves the first guarded write its lookup. A row that exists, a tombstone above all, stays as it is.
  absl::Status OnCreated(events::Tx& tx, const Row& parent) const;

  // These parents (1 to 1,000) are gone for good. Releases each row if the release itself did not arrive, whatever was
  // refused before, and opens it for the reclaim. Where there is no row nothing refers to the parent, and nothing ever
  // will: that is reported at once. FAILED_PRECONDITION: a row has another uid.
  absl::Status OnDeleted(events::Tx& tx, const std::vector<Row>& parents, DeletionId deletion_id) const;

 private:
  void Report(events::Tx& tx, const Row& parent, DeletionId deletion_id) const;

  const ReferenceTable& table_;
  const ReferenceSql& sql_;
};

}  // namespace crosskey::relation
