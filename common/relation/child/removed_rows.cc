#include "common/relation/child/removed_rows.h"

#include "common/status/macros.h"

namespace crosskey::relation {
namespace {

const db::Sql kAdd{"reclaimed_rows.add",
                   "UPDATE reclaimed_rows SET removed = removed + ? WHERE parent_id = ? AND relationship = ?"};
const db::Sql kInsert{"reclaimed_rows.insert",
                      "INSERT INTO reclaimed_rows (removed, parent_id, relationship) VALUES (?, ?, ?)"};
const db::Sql kOf{"reclaimed_rows.of",
                  "SELECT relationship, removed FROM reclaimed_rows WHERE parent_id = ? AND relationship IN (?)"};
const db::Sql kForget{"reclaimed_rows.forget",
                      "DELETE FROM reclaimed_rows WHERE parent_id = ? AND relationship IN (?)"};

}  // namespace

RemovedRowsMetric::RemovedRowsMetric(telemetry::Metrics& metrics, const std::vector<std::string>& relationships) {
  for (const std::string& relationship : relationships) {
    counters_[relationship] =
        &metrics.Counter("crosskey_reclaimed_rows_total",
                         "Rows removed, hidden or set to null because what they referred to was deleted.",
                         {{"relationship", relationship}});
  }
}

void RemovedRowsMetric::CountOnCommit(db::Tx& tx, const std::string& relationship, int64_t rows) const {
  tx.OnCommit([counter = counters_.at(relationship), rows] { counter->Increment(static_cast<double>(rows)); });
}

absl::Status AddReclaimedRows(db::Tx& tx, RowId parent, const RowCounts& removed) {
  for (const auto& [relationship, rows] : removed) {
    CROSSKEY_ASSIGN_OR_RETURN(const int64_t known, tx.Execute(kAdd, rows, parent, relationship));
    if (known == 0) CROSSKEY_RETURN_IF_ERROR(tx.Execute(kInsert, rows, parent, relationship).status());
  }
  return absl::OkStatus();
}

absl::StatusOr<RowCounts> TakeReclaimedRows(db::Tx& tx, RowId parent, const std::vector<std::string>& relationships) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto found, (tx.Query<std::string, int64_t>(kOf, parent, relationships)));
  RowCounts rows;
  for (const std::string& relationship : relationships) rows[relationship] = 0;
  for (const auto& [relationship, removed] : found) rows[relationship] = removed;
  if (!found.empty()) CROSSKEY_RETURN_IF_ERROR(tx.Execute(kForget, parent, relationships).status());
  return rows;
}

}  // namespace crosskey::relation
