// Metrics of the process, and the HTTP endpoint that Prometheus reads them from.
#pragma once

#include <memory>
#include <string>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include "absl/status/statusor.h"

namespace prometheus {
class Exposer;
}

namespace crosskey::telemetry {

// Owns the registry that every part of the process adds its metrics to. Holds `crosskey_build_info{service,version}` =
// 1 from the start. Thread-safe.
class Metrics {
 public:
  Metrics(const std::string& service, const std::string& version);

  // One metric, to be declared once and kept: finding it again builds and hashes its labels. Declared again with the same name,
  // it is the same one.
  prometheus::Counter& Counter(const std::string& name, const std::string& help, const prometheus::Labels& labels = {});
  prometheus::Gauge& Gauge(const std::string& name, const std::string& help, const prometheus::Labels& labels = {});
  prometheus::Histogram& Histogram(const std::string& name, const std::string& help,
                                   const prometheus::Histogram::BucketBoundaries& buckets,
                                   const prometheus::Labels& labels = {});
  // Counters whose labels are not all known beforehand: Add gives the one of these labels, for the caller to keep.
  prometheus::Family<prometheus::Counter>& Counters(const std::string& name, const std::string& help);

  prometheus::Registry& registry() { return *registry_; }

 private:
  friend class MetricsServer;

  std::shared_ptr<prometheus::Registry> registry_;
};

// Serves the metrics at /metrics on threads of its own, until it is destroyed. May outlive the Metrics: it then serves
// none.
class MetricsServer {
 public:
  // `address` is host:port; port 0 takes a free one. IPv4 only, as Debian builds the HTTP server. UNAVAILABLE, with the
  // address, if it cannot be listened on.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const Metrics& metrics, const std::string& address);

  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  int port() const { return port_; }

 private:
  MetricsServer(std::unique_ptr<prometheus::Exposer> exposer, int port);

  std::unique_ptr<prometheus::Exposer> exposer_;
  int port_;
};

}  // namespace crosskey::telemetry
