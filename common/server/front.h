// What others see of a service: its two listeners and its health, and how both end.
#pragma once

#include <functional>
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

// The public and the internal listener. The internal one has threads and an admission of its own, so that two services
// that call each other cannot use up each other's threads.
class Front {
 public:
  struct Options {
    std::string listen;
    std::string internal_listen;
    int max_in_flight = 256;  // calls of the public listener
    int descriptors = 0;      // that the process needs besides connections
    int request_bytes = 0;    // of the public listener
    bool no_drain_grace = false;
    absl::Duration deaf_for = absl::Seconds(30);
    int caller_rate = 0;                   // see rpc::Admission
    rpc::Gate* gate = nullptr;             // of the public listener; null: everybody may do everything
    telemetry::AuditLog* audit = nullptr;  // of both
    // Null: no TLS. With a CA the public listener asks for certificates, the internal one requires them.
    std::shared_ptr<rpc::TlsFiles> tls = nullptr;
    std::shared_ptr<rpc::TlsFiles> internal_tls = nullptr;
    rpc::Gate* internal_gate = nullptr;
  };

  // `identity` decides whose calls the internal listener takes.
  // `may_write`: see rpc::Admission.
  Front(Options options, Identity& identity, const std::function<absl::Status()>& may_write,
        telemetry::Metrics& metrics);

  const std::shared_ptr<rpc::Admission>& admission() const { return admission_; }
  const std::shared_ptr<rpc::Admission>& internal_admission() const { return internal_admission_; }

  // Opens both listeners. Health is NOT_SERVING until SetServing(true), and calls are refused until Admit. UNAVAILABLE:
  // an address cannot be bound.
  absl::Status Open(const std::vector<Endpoint>& endpoints, const std::vector<Endpoint>& internal_endpoints);
  void Admit();
  void SetServing(bool serving);
  // The health of "peer": whether the other service is the one that this one is paired with.
  void SetPeerHealth(bool right);
  // The health of "history": whether the histories of both services go on.
  void SetHistoryHealth(bool goes_on);
  // To be called often. Ends what clients have left lying, takes new certificates, and dials both listeners every few
  // seconds. UNAVAILABLE: one of them has served no new connection for `deaf_for`, so the process is of no use any
  // more.
  absl::Status Watch(absl::Time now);

  int port() const { return listener_->port(); }
  int internal_port() const { return internal_listener_->port(); }

  // The front ends in three steps. From BeginDrain on health is NOT_SERVING, new calls of the public listener are
  // refused with DRAINING, and internal streams end. Other internal calls are still taken.
  void BeginDrain();
  // Waits until the public calls in flight have been answered, then refuses new internal calls too and waits for those
  // in flight, 500 ms at most; all that until `deadline` at most. Public calls are refused for 300 ms at least, because
  // a refusal tells clients more than a connection that ends.
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
  telemetry::Metrics& metrics_;
  absl::Time looked_ = absl::InfinitePast();  // at the files of TLS
  absl::Time dialled_ = absl::InfinitePast();
  // By listener: the first dial without an answer since the last one that had one.
  absl::Time silent_since_[2] = {absl::InfiniteFuture(), absl::InfiniteFuture()};
};

}  // namespace crosskey::server
