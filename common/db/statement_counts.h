// How often each statement has run.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "common/telemetry/metrics.h"

namespace crosskey::db {

// The metrics crosskey_db_statements_total and crosskey_db_rows_total, by the name of the statement. Thread-safe.
class StatementCounts {
 public:
  explicit StatementCounts(telemetry::Metrics& metrics);

  // Counts a statement that has succeeded. `rows` is how many rows it returned (a query) or changed.
  void Count(const std::string& statement, int64_t rows);

 private:
  struct Counters {
    prometheus::Counter* statements = nullptr;
    prometheus::Counter* rows = nullptr;
  };

  prometheus::Family<prometheus::Counter>& statements_;
  prometheus::Family<prometheus::Counter>& rows_;
  std::mutex mutex_;
  std::map<std::string, Counters> by_name_;  // because the look-up of a family builds and hashes labels
};

}  // namespace crosskey::db
