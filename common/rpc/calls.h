// What every call goes through, whatever it does.
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

// How many calls of a listener may be in flight, and whether it takes any. Begins closed. Thread-safe.
class Admission {
 public:
  explicit Admission(int max_in_flight) : max_in_flight_(max_in_flight) {}

  // OK: a place is taken, give it back with Leave. Else at once, without waiting: RESOURCE_EXHAUSTED OVERLOADED, or
  // what Check says.
  absl::Status Enter();
  void Leave() { --in_flight_; }
  // UNAVAILABLE DATABASE_UNAVAILABLE before Open, UNAVAILABLE DRAINING after Drain.
  absl::Status Check() const;
  // For calls that have no end of their own: DRAINING after EndStreams, too.
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

  // Runs `body` with the call's deadline (limits::kDefaultDeadline if the client set none, 5 minutes at most), cancellation and trace
  // context.
  grpc::Status Unary(grpc::ServerContext& context, const std::string& method,
                     const std::function<absl::Status(const Call&)>& body);

  // The same for a stream, which has no deadline and does not count as a call in flight.
  grpc::Status ServerStream(grpc::ServerContext& context, const std::string& method,
                            const std::function<absl::Status(const Call&)>& body);

  Admission& admission() { return *admission_; }

 private:
  struct Method;

  grpc::Status Run(const std::string& name, const Call& call, const std::function<absl::Status(const Call&)>& body);

  const std::string service_;
  const std::shared_ptr<Admission> admission_;
  prometheus::Gauge& in_flight_;
  std::map<std::string, std::unique_ptr<Method>> methods_;  // all that the service declares
};

}  // namespace crosskey::rpc
