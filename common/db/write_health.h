// Whether the database takes changes. Reads may go on where it does not.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include "absl/time/time.h"
#include "common/db/sql_error.h"
#include "common/telemetry/metrics.h"

namespace crosskey::db {

// Learns from every transaction. A service writes without clients too: each process asks for its leases every few
// seconds, so what is wrong with an idle database is known soon, and so is its end. Thread-safe.
class WriteHealth {
 public:
  explicit WriteHealth(telemetry::Metrics& metrics);

  // A transaction has failed for good. `text` is logged, once for each kind. Most kinds say nothing of the next one.
  void Failed(SqlError kind, const std::string& text, absl::Time now);

  // A transaction that changes something was committed. A full database may still have room for a small change, so it
  // counts as full until none has failed for kFullFor.
  void Committed(absl::Time now);

  // "full", "read_only" or "not_allowed"; empty if the database takes changes.
  std::string Problem() const;

  static constexpr absl::Duration kFullFor = absl::Seconds(10);

 private:
  void Set(const std::string& problem);

  prometheus::Gauge& full_;
  prometheus::Gauge& read_only_;
  prometheus::Gauge& not_allowed_;
  std::atomic<bool> has_problem_ = false;  // spares the lock where all is well
  mutable std::mutex mutex_;
  std::string problem_;
  absl::Time last_ = absl::InfinitePast();
};

}  // namespace crosskey::db
