// The metric of what deletions remove.
#pragma once

#include <prometheus/counter.h>

#include "common/telemetry/metrics.h"

namespace crosskey::relation {

// crosskey_reclaimed_rows_total, by relationship. Asked for again it is the same one.
inline prometheus::Family<prometheus::Counter>& RemovedRows(telemetry::Metrics& metrics) {
  return prometheus::BuildCounter()
      .Name("crosskey_reclaimed_rows_total")
      .Help("Rows removed, hidden or set to null because what they referred to was deleted.")
      .Register(metrics.registry());
}

}  // namespace crosskey::relation
