// Reads a metric.
#pragma once

#include <algorithm>
#include <map>
#include <string>

#include <prometheus/metric_family.h>
#include <prometheus/registry.h>

#include "common/telemetry/metrics.h"

namespace crosskey::testing {

// The current value of the first counter or gauge whose labels include these; 0 if there is none.
inline double MetricOf(telemetry::Metrics& metrics, const std::string& name,
                       const std::map<std::string, std::string>& labels = {}) {
  for (const prometheus::MetricFamily& family : metrics.registry().Collect()) {
    if (family.name != name) continue;
    for (const prometheus::ClientMetric& metric : family.metric) {
      const bool matches = std::all_of(labels.begin(), labels.end(), [&](const auto& wanted) {
        return std::any_of(metric.label.begin(), metric.label.end(), [&](const auto& label) {
          return label.name == wanted.first && label.value == wanted.second;
        });
      });
      if (!matches) continue;
      return family.type == prometheus::MetricType::Gauge ? metric.gauge.value : metric.counter.value;
    }
  }
  return 0;
}

}  // namespace crosskey::testing
