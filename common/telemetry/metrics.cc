#include "common/telemetry/metrics.h"

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace crosskey::telemetry {

Metrics::Metrics(const std::string& service, const std::string& version)
    : registry_(std::make_shared<prometheus::Registry>()) {
  Gauge("crosskey_build_info", "Always 1; the labels say what is running.",
        {{"service", service}, {"version", version}})
      .Set(1);
  Gauge("crosskey_start_time_seconds", "When the process started, in seconds since 1970.")
      .Set(absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()));
}

prometheus::Counter& Metrics::Counter(const std::string& name, const std::string& help,
                                      const prometheus::Labels& labels) {
  return Counters(name, help).Add(labels);
}

prometheus::Gauge& Metrics::Gauge(const std::string& name, const std::string& help, const prometheus::Labels& labels) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(*registry_).Add(labels);
}

prometheus::Histogram& Metrics::Histogram(const std::string& name, const std::string& help,
                                          const prometheus::Histogram::BucketBoundaries& buckets,
                                          const prometheus::Labels& labels) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(*registry_).Add(labels, buckets);
}

prometheus::Family<prometheus::Counter>& Metrics::Counters(const std::string& name, const std::string& help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(*registry_);
}

}  // namespace crosskey::telemetry
