// How many rows deletions remove.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/db/connection.h"
#include "common/relation/row.h"
#include "common/telemetry/metrics.h"

namespace crosskey::relation {

// The metric crosskey_reclaimed_rows_total. A counter that is there from the beginning can be told from one that has never moved.
class RemovedRowsMetric {
 public:
  RemovedRowsMetric(telemetry::Metrics& metrics, const std::vector<std::string>& relationships);

  // Counts once the transaction has been committed.
  void CountOnCommit(db::Tx& tx, const std::string& relationship, int64_t rows) const;

 private:
  std::map<std::string, prometheus::Counter*> counters_;  // by relationship
};

// The table `reclaimed_rows`: what the reclaim of a parent has removed so far, for its report. Every method is one or two
// statements of a transaction that has locked the parent's reference row.
absl::Status AddReclaimedRows(db::Tx& tx, RowId parent, const std::string& relationship, int64_t rows);
// Of these relationships, all of which are in the result; then the counts are forgotten.
absl::StatusOr<RowCounts> TakeReclaimedRows(db::Tx& tx, RowId parent, const std::vector<std::string>& relationships);

}  // namespace crosskey::relation
