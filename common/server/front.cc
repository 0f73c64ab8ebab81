#include "common/server/front.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/status/limits.h"
#include "common/status/macros.h"

namespace crosskey::server {
namespace {

constexpr absl::Duration kClose = absl::Milliseconds(500);
constexpr absl::Duration kDrainGrace = absl::Milliseconds(300);
constexpr absl::Duration kFlush = absl::Milliseconds(100);
constexpr int kInternalInFlight = 256;
constexpr int kStreamReserve = 256;  // for calls that are about to be refused, health, reflection and feeds
// Descriptors that clients leave to the internal listener, and all connections to the rest of the process.
constexpr int kInternalReserve = 64;
constexpr int kReserve = 32;
constexpr absl::Duration kLookPeriod = absl::Seconds(1);
constexpr absl::Duration kDialPeriod = absl::Seconds(5);
constexpr absl::Duration kDial = absl::Seconds(2);

absl::StatusOr<std::unique_ptr<rpc::Listener>> Listen(rpc::Listener::Options options,
                                                      const std::vector<Endpoint>& endpoints,
                                                      telemetry::Metrics& metrics) {
  std::vector<grpc::Service*> services;
  for (const Endpoint& endpoint : endpoints) {
    options.health_names.push_back(endpoint.name);
    services.push_back(endpoint.service);
  }
  return rpc::Listener::Start(options, services, metrics);
}

void AwaitNone(const rpc::Admission& admission, absl::Time deadline) {
  while (admission.in_flight() > 0 && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(5));
}

}  // namespace

Front::Front(Options options, Identity& identity, const std::function<absl::Status()>& may_write,
             telemetry::Metrics& metrics)
    : options_(std::move(options)),
      admission_(std::make_shared<rpc::Admission>(rpc::Admission::Options{
          options_.max_in_flight, nullptr, may_write, options_.gate, options_.audit, options_.caller_rate})),
      internal_admission_(std::make_shared<rpc::Admission>(
          rpc::Admission::Options{kInternalInFlight, &identity, may_write, options_.internal_gate, options_.audit, 0})),
      serving_(metrics.Gauge("crosskey_ready", "1 while the service is SERVING.")),
      metrics_(metrics) {}

absl::Status Front::Open(const std::vector<Endpoint>& endpoints, const std::vector<Endpoint>& internal_endpoints) {
  const int all = rpc::RaiseDescriptorLimit() - kReserve;
  // What the rest of the process needs may be opened later, so room is left for it. Half are for connections at least.
  const int internal =
      std::max(all / 2, std::min(all - options_.descriptors, limits::kConnections + options_.descriptors));
  rpc::Listener::Options listen{"internal", options_.internal_listen, internal,
                                limits::kInternalRequestKibibytes * 1024};
  listen.max_streams = (kInternalInFlight + kStreamReserve) / 2;
  listen.tls = options_.internal_tls;
  listen.client_certificates = rpc::ClientCertificates::kRequired;
  listen.reflection = false;
  CROSSKEY_ASSIGN_OR_RETURN(internal_listener_, Listen(listen, internal_endpoints, metrics_));
  listen = {"public", options_.listen, internal - kInternalReserve, options_.request_bytes};
  listen.max_streams = (options_.max_in_flight + kStreamReserve) / 2;
  listen.rotate = true;
  listen.tls = options_.tls;
  listen.gate = options_.gate;
  const bool asks = options_.tls != nullptr && options_.tls->has_ca();
  listen.client_certificates = asks ? rpc::ClientCertificates::kOptional : rpc::ClientCertificates::kNone;
  CROSSKEY_ASSIGN_OR_RETURN(listener_, Listen(listen, endpoints, metrics_));
  SetPeerHealth(true);
  SetHistoryHealth(true);
  return absl::OkStatus();
}

void Front::Admit() {
  admission_->Open();
  internal_admission_->Open();
}

void Front::SetServing(bool serving) {
  serving_.Set(serving ? 1 : 0);
  if (listener_ != nullptr) listener_->SetServing(serving);
  if (internal_listener_ != nullptr) internal_listener_->SetServing(serving);
}

void Front::SetPeerHealth(bool right) {
  if (listener_ != nullptr) listener_->SetHealth(rpc::kPeerHealth, right);
}

void Front::SetHistoryHealth(bool goes_on) {
  if (listener_ != nullptr) listener_->SetHealth(rpc::kHistoryHealth, goes_on);
}

absl::Status Front::Watch(absl::Time now) {
  rpc::Listener* const listeners[] = {listener_.get(), internal_listener_.get()};
  for (rpc::Listener* const listener : listeners) listener->Sweep(now);
  if (now - looked_ >= kLookPeriod) {
    looked_ = now;
    for (const auto& files : {options_.tls, options_.internal_tls}) {
      if (files != nullptr) files->Look(now);
    }
  }
  if (now - dialled_ < std::min(kDialPeriod, options_.deaf_for)) return absl::OkStatus();
  dialled_ = now;
  for (int i = 0; i < 2; ++i) {
    if (listeners[i]->Answers(kDial)) {
      silent_since_[i] = absl::InfiniteFuture();
      continue;
    }
    // A process that was suspended for a while may fail once, and is not deaf for that.
    silent_since_[i] = std::min(silent_since_[i], now);
    if (now - silent_since_[i] >= options_.deaf_for) {
      return absl::UnavailableError(absl::StrCat("nobody can connect to port ", listeners[i]->port(), " any more"));
    }
  }
  return absl::OkStatus();
}

void Front::BeginDrain() {
  SetServing(false);
  admission_->Drain();
  internal_admission_->EndStreams();
}

// Waits for the calls of clients first. Meanwhile the other service is still answered: it may be in the middle of calls
// of its own clients, and has nobody else to ask until it has found another replica.
void Front::FinishCalls(absl::Time deadline) const {
  if (listener_ == nullptr) return;
  if (!options_.no_drain_grace) absl::SleepFor(kDrainGrace);
  AwaitNone(*admission_, deadline);
  internal_admission_->Drain();
  AwaitNone(*internal_admission_, std::min(deadline, absl::Now() + kClose));
  // gRPC has been given the last answers, but still has to send them.
  if (!options_.no_drain_grace) absl::SleepFor(kFlush);
}

void Front::Close() {
  // Hardly any call is in flight any more. Those that are have this long to notice that they are to end.
  const absl::Time close = absl::Now() + kClose;
  if (listener_ != nullptr) listener_->Shutdown(close);
  if (internal_listener_ != nullptr) internal_listener_->Shutdown(close);
}

}  // namespace crosskey::server
