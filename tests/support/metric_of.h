// Reads a metric.
#pragma once

#include <algorithm>
#include <map>
#include <string>

#include <prometheus/metric_family.h>
#include <prometheus/registry.h>

#include "common/telemetry/metrics.h"

namespace crosskey::testing {

// Whether a metric has these labels, and perhaps others.
inline bool HasLabels(const prometheus::ClientMetric& metric, const std::map<std::string, std::string>& labels) {
  return std::all_of(labels.begin(), labels.end(), [&](const auto& wanted) {
    return std::any_of(metric.label.begin(), metric.label.end(),
                       [&](const auto& label) { return label.name == wanted.first && label.value == wanted.second; });
  });
}

// How many values the first histogram has seen whose labels include these, and their sum.
struct Observed {
  uint64_t count = 0;
  double sum = 0;
};

inline Observed ObservedOf(telemetry::Metrics& metrics, const std::string& name,
                           const std::map<std::string, std::string>& labels) {
  for (const prometheus::MetricFamily& family : metrics.registry().Collect()) {
    if (family.name != name) continue;
    for (const prometheus::ClientMetric& metric : family.metric) {
      if (HasLabels(metric, labels)) return {metric.histogram.sample_count, metric.histogram.sample_sum};
    }
  }
  return {};
}

// The current value of the first counter or gauge whose labels include these; 0 if there is none.
inline double MetricOf(telemetry::Metrics& metrics, const std::string& name,
                       const std::map<std::string, std::string>& labels = {}) {
  for (const prometheus::MetricFamily& family : metrics.registry().Collect()) {
    if (family.name != name) continue;
    for (const prometheus::ClientMetric& metric : family.metric) {
      if (!HasLabels(metric, labels)) continue;
      return family.type == prometheus::MetricType::Gauge ? metric.gauge.value : metric.counter.value;
    }
  }
  return 0;
}

}  // namespace crosskey::testing
