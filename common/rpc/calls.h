// The wrapper that every call to our services goes through.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "common/status/call.h"
#include "common/telemetry/metrics.h"

namespace crosskey::rpc {

// Decides whether a listener takes a call, and bounds how many are in flight. Begins closed. Thread-safe.
class Admission {
 public:
  explicit Admission(int max_in_flight) : max_in_flight_(max_in_flight) {}

  // OK: the call has taken a place, which Leave gives back. Otherwise refuses at once, without waiting:
  // RESOURCE_EXHAUSTED OVERLOADED if all places are taken, or the error of Check.
  absl::Status Enter();
  void Leave() { --in_flight_; }
  // UNAVAILABLE DATABASE_UNAVAILABLE before Open, UNAVAILABLE DRAINING after Drain.
  absl::Status Check() const;
  // The same for streams. They have no end of their own, so EndStreams can end them before Drain: UNAVAILABLE DRAINING
  // after either.
  absl::Status CheckStream() const;
  void Open() { open_ = true; }
  void EndStreams() { streams_end_ = true; }
  void Drain() { draining_ = true; }
  int in_flight() const { return in_flight_; }

 private:
  const int max_in_flight_;
  std::atomic<int> in_flight_ = 0;
  std::atomic<bool> open_ = false;
  std::atomic<bool> streams_end_ = false;
  std::atomic<bool> draining_ = false;
};

// Runs the methods of one gRPC service: admission, deadline, metrics, log, and the last line of defence against
// exceptions. Thread-safe.
class Calls {
 public:
  // `service` is the full name, "user.v1.UserService".
  Calls(std::string service, std::shared_ptr<Admission> admission, telemetry::Metrics& metrics);
  ~Calls();

  // Runs `body` with the call's deadline (limits::kDefaultDeadline if the client set none, 5 minutes at most),
  // cancellation and trace context.
  grpc::Status Unary(grpc::ServerContext& context, const std::string& method,
                     const std::function<absl::Status(const Call&)>& body);

  // The same for a stream. It has no deadline unless the client sets one, and takes no place of the admission, so
  // `body` has to ask Admission::CheckStream itself.
  grpc::Status ServerStream(grpc::ServerContext& context, const std::string& method,
                            const std::function<absl::Status(const Call&)>& body);

  Admission& admission() { return *admission_; }

 private:
  struct Method;

  grpc::Status Run(const std::string& name, const Call& call, const std::function<absl::Status(const Call&)>& body);

  const std::string service_;
  const std::shared_ptr<Admission> admission_;
  prometheus::Gauge& in_flight_;
  std::map<std::string, std::unique_ptr<Method>> methods_;  // by name, all that the service declares
};

}  // namespace crosskey::rpc
