// The page that Prometheus reads the metrics from.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/telemetry/metrics.h"

namespace crosskey::telemetry {

// A key and its certificates, the leaf first, in PEM. What has changed is another object.
using PemPair = std::shared_ptr<const std::string>;

// Serves the metrics at /metrics on a thread of its own, until it is destroyed. May outlive the Metrics: it then serves
// none.
//
// Each connection gets one answer and then ends, so none is idle. A request and its TLS handshake have
// limits::kMetricsRequest, an answer has limits::kMetricsAnswer. A connection above limits::kMetricsConnections ends
// another one, the oldest of the address that has the most. So a crowd keeps no other address out, unless it comes from
// as many addresses as there may be connections. Nothing that clients send after the headers is kept.
class MetricsServer {
 public:
  // `address` is host:port; port 0 takes a free port. A name may have several addresses, of IPv4 and IPv6. With `pair`
  // there is TLS only, 1.2 at least. It is asked for each connection, on the server's thread, so that a new pair is in
  // use at once. UNAVAILABLE, with the address in its message: the server cannot listen on it. INVALID_ARGUMENT: TLS
  // does not take the pair. If it does not take a later one, the one before stays in use.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const Metrics& metrics, const std::string& address,
                                                              std::function<PemPair()> pair = nullptr);

  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  int port() const;

 private:
  class Site;

  explicit MetricsServer(std::unique_ptr<Site> site);

  const std::unique_ptr<Site> site_;
};

}  // namespace crosskey::telemetry
