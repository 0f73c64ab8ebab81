// Metrics of the process. MetricsServer gives them to Prometheus.
#pragma once

#include <memory>
#include <string>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

namespace crosskey::telemetry {

// Owns the registry that every part of the process adds its metrics to. From the start it has
// `crosskey_build_info{service,version}` = 1 and `crosskey_start_time_seconds`. Thread-safe.
class Metrics {
 public:
  Metrics(const std::string& service, const std::string& version);

  // Each declares one metric and returns it. The caller should keep it, because finding it again builds and hashes its
  // labels. Declared again with the same name and labels, it is the same metric.
  prometheus::Counter& Counter(const std::string& name, const std::string& help, const prometheus::Labels& labels = {});
  prometheus::Gauge& Gauge(const std::string& name, const std::string& help, const prometheus::Labels& labels = {});
  prometheus::Histogram& Histogram(const std::string& name, const std::string& help,
                                   const prometheus::Histogram::BucketBoundaries& buckets,
                                   const prometheus::Labels& labels = {});
  // Declares counters whose labels are not all known beforehand. Add of the family gives the counter of the labels that
  // it is given; the caller should keep it.
  prometheus::Family<prometheus::Counter>& Counters(const std::string& name, const std::string& help);

  prometheus::Registry& registry() { return *registry_; }
  std::weak_ptr<prometheus::Registry> weak_registry() const { return registry_; }

 private:
  std::shared_ptr<prometheus::Registry> registry_;
};

}  // namespace crosskey::telemetry
