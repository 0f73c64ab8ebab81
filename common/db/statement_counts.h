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

  // A statement has succeeded. `rows` are those returned by a query, else those changed.
  void Count(const std::string& statement, int64_t rows);

 private:
  struct Counters {
    prometheus::Counter* statements = nullptr;
    prometheus::Counter* rows = nullptr;
  };

  prometheus::Family<prometheus::Counter>& statements_;
  prometheus::Family<prometheus::Counter>& rows_;
  std::mutex mutex_;
  std::map<std::string, Counters> by_name_;  // the families' own look-up builds and hashes labels
};

}  // namespace crosskey::db
