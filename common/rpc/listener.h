// One gRPC server on one address.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <grpcpp/server.h>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace crosskey::rpc {

// Serves gRPC services together with health and reflection. Reflection has at most limits::kReflectionStreams streams
// at a time. Every health name except "liveness" begins as NOT_SERVING. The services must outlive it.
class Listener {
 public:
  struct Options {
    std::string address;                    // "host:port"; port 0: any free one
    int max_streams = 256;                  // calls and streams of one connection at a time
    bool rotate = false;                    // end connections after 15 minutes, so that clients find new replicas
    std::vector<std::string> health_names;  // full names of the services, besides "", "readiness" and "liveness"
  };

  // UNAVAILABLE: the address cannot be bound; the message names it.
  static absl::StatusOr<std::unique_ptr<Listener>> Start(const Options& options,
                                                         const std::vector<grpc::Service*>& services);

  int port() const { return port_; }
  // Sets the health of "", "readiness" and each service. "liveness" is SERVING from the start to the end of the
  // process.
  void SetServing(bool serving);
  // Sets the health of one further name.
  void SetHealth(const std::string& name, bool serving);
  // Ends all connections, so that clients get UNAVAILABLE, also for calls in flight. Then waits until the handlers are
  // done, and cancels them at the deadline.
  void Shutdown(absl::Time deadline);

 private:
  Listener() = default;

  std::unique_ptr<grpc::Server> server_;
  std::vector<std::string> health_names_;
  int port_ = 0;
};

// A health name of the public listener: NOT_SERVING while another one than the paired service answers at the peer's
// address. Readiness does not depend on it.
inline constexpr char kPeerHealth[] = "peer";
// The same while a history does not go on (common/events/history.h).
inline constexpr char kHistoryHealth[] = "history";

// Calls grpc.health.v1.Health/Check for this name. OK if SERVING, otherwise FAILED_PRECONDITION. UNAVAILABLE: no
// answer. NOT_FOUND: an older release, which does not know the name.
absl::Status CheckHealth(const std::string& address, const std::string& name, absl::Duration timeout);

}  // namespace crosskey::rpc
