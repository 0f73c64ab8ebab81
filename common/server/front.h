// What a service shows to others: its two listeners, its health, and the end of both.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/rpc/calls.h"
#include "common/rpc/listener.h"
#include "common/telemetry/metrics.h"

namespace crosskey::server {

// A gRPC service and its full name, for the health service.
struct Endpoint {
  std::string name;
  grpc::Service* service;
};

// The public and the internal listener. The internal one has threads and an admission of its own, so that two services that call
// each other cannot use up each other's threads.
class Front {
 public:
  struct Options {
    std::string listen;
    std::string internal_listen;
    int max_in_flight = 256;  // calls of the public listener
    bool no_drain_grace = false;
  };

  Front(Options options, telemetry::Metrics& metrics);

  const std::shared_ptr<rpc::Admission>& admission() const { return admission_; }
  const std::shared_ptr<rpc::Admission>& internal_admission() const { return internal_admission_; }

  // NOT_SERVING, and every call is refused, until Admit and SetServing. UNAVAILABLE: an address cannot be bound.
  absl::Status Open(const std::vector<Endpoint>& endpoints, const std::vector<Endpoint>& internal_endpoints);
  void Admit();
  void SetServing(bool serving);

  int port() const { return listener_->port(); }
  int internal_port() const { return internal_listener_->port(); }

  // The end, in three steps. From the first one on, new calls are refused with DRAINING, and internal streams end.
  void BeginDrain();
  // Waits until the calls in flight have been answered, until `deadline` at most. The refusals go on for 300 ms at least, which
  // tells clients more than a connection that ends.
  void FinishCalls(absl::Time deadline) const;
  // Ends all connections.
  void Close();

 private:
  const Options options_;
  const std::shared_ptr<rpc::Admission> admission_;
  const std::shared_ptr<rpc::Admission> internal_admission_;
  prometheus::Gauge& serving_;
  std::unique_ptr<rpc::Listener> listener_;
  std::unique_ptr<rpc::Listener> internal_listener_;
};

}  // namespace crosskey::server
