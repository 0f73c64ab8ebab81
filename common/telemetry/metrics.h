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

// Owns the registry that every part of the process adds its metrics to. From the start it has
// `crosskey_build_info{service,version}` = 1. Thread-safe.
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

 private:
  friend class MetricsServer;

  std::shared_ptr<prometheus::Registry> registry_;
};

// Serves the metrics at /metrics on threads of its own, until it is destroyed. May outlive the Metrics: it then serves
// none.
class MetricsServer {
 public:
  // `address` is host:port; port 0 takes a free port. IPv4 only, because Debian builds the HTTP server so. UNAVAILABLE,
  // with the address in its message, if the server cannot listen on it.
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
