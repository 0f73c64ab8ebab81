#include "common/db/statement_counts.h"

namespace crosskey::db {

StatementCounts::StatementCounts(telemetry::Metrics& metrics)
    : statements_(metrics.Counters("crosskey_db_statements_total", "SQL statements that succeeded, by name.")),
      rows_(metrics.Counters("crosskey_db_rows_total", "Rows returned or changed by SQL statements, by name.")) {}

void StatementCounts::Count(const std::string& statement, int64_t rows) {
  Counters counters;
  {
    std::lock_guard lock(mutex_);
    Counters& known = by_name_[statement];
    if (known.statements == nullptr) {
      known = {&statements_.Add({{"statement", statement}}), &rows_.Add({{"statement", statement}})};
    }
    counters = known;
  }
  counters.statements->Increment();
  counters.rows->Increment(static_cast<double>(rows));
}

}  // namespace crosskey::db
