// Counts the rows that deletions remove.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/db/connection.h"
#include "common/relation/row.h"
#include "common/telemetry/metrics.h"

namespace crosskey::relation {

// The metric crosskey_reclaimed_rows_total. Its counters exist from the beginning, so a count of 0 is shown as 0 and
// not as a metric that is missing.
class RemovedRowsMetric {
 public:
  RemovedRowsMetric(telemetry::Metrics& metrics, const std::vector<std::string>& relationships);

  // Counts once the transaction has been committed.
  void CountOnCommit(db::Tx& tx, const std::string& relationship, int64_t rows) const;

 private:
  std::map<std::string, prometheus::Counter*> counters_;  // by relationship
};

// The table `reclaimed_rows` holds what the reclaim of a parent has removed so far, for its report. Each of these
// functions runs one or two statements for each relationship, in a transaction that has locked the parent's reference
// row.
absl::Status AddReclaimedRows(db::Tx& tx, RowId parent, const RowCounts& removed);
// Returns the count of each of these relationships, 0 if it has none, and removes the counts from the table.
absl::StatusOr<RowCounts> TakeReclaimedRows(db::Tx& tx, RowId parent, const std::vector<std::string>& relationships);

}  // namespace crosskey::relation
