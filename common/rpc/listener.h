// One gRPC server on one address.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <grpcpp/server.h>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/acceptor.h"
#include "common/rpc/gate.h"
#include "common/rpc/library_calls.h"
#include "common/rpc/stream_limit.h"
#include "common/rpc/tls_files.h"
#include "common/rpc/unread.h"
#include "common/telemetry/metrics.h"

namespace crosskey::rpc {

// Serves gRPC services together with health and, if wanted, reflection. Every health name except "liveness" begins as
// NOT_SERVING. The services must outlive it.
//
// What clients can make it hold is bounded: connections (Acceptor), answers that are not read (Unread), streams of
// reflection and health (StreamLimit), the size of a request, and the calls of one connection. It takes no compressed
// requests (UNIMPLEMENTED), because gRPC 1.51 looks at the size of a message before it is unpacked and not after.
class Listener {
 public:
  struct Options {
    std::string name;                         // for metrics
    std::string address;                      // "host:port"; port 0: any free one
    int most_descriptors = 1024;              // see Acceptor
    int request_bytes = 0;                    // a larger request is refused
    int max_streams = 256;                    // calls and streams of one connection at a time
    bool rotate = false;                      // end connections after 15 minutes, so that clients find new replicas
    std::vector<std::string> health_names{};  // full names of the services, besides "", "readiness" and "liveness"
    std::shared_ptr<TlsFiles> tls = nullptr;  // null: no TLS
    ClientCertificates client_certificates = ClientCertificates::kNone;
    bool reflection = true;
    Gate* gate = nullptr;  // decides about reflection; null: it is for everybody. See Admission for other calls
  };

  // UNAVAILABLE: the address cannot be bound; the message names it.
  static absl::StatusOr<std::unique_ptr<Listener>> Start(const Options& options,
                                                         const std::vector<grpc::Service*>& services,
                                                         telemetry::Metrics& metrics);

  int port() const { return acceptor_->port(); }
  // Sets the health of "", "readiness" and each service. "liveness" is SERVING from the start to the end of the
  // process.
  void SetServing(bool serving);
  // Sets the health of one further name.
  void SetHealth(const std::string& name, bool serving);
  // Whether new connections are served: see Acceptor.
  bool Answers(absl::Duration timeout) const { return acceptor_->Answers(timeout, tls_ != nullptr); }
  // Ends what clients have left lying for too long. To be called every second or so.
  void Sweep(absl::Time now);
  // Ends all connections, so that clients get UNAVAILABLE, also for calls in flight. Then waits until the handlers are
  // done, and cancels them at the deadline.
  void Shutdown(absl::Time deadline);

 private:
  Listener(const Options& options, telemetry::Metrics& metrics);

  // These must outlive the server.
  const std::shared_ptr<TlsFiles> tls_;
  const std::shared_ptr<Unread> unread_;
  const std::shared_ptr<StreamLimit> reflection_;
  const std::shared_ptr<StreamLimit> watches_;
  prometheus::Gauge& not_handled_;
  LibraryCalls library_calls_;
  std::unique_ptr<Acceptor> acceptor_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::string> health_names_;
};

// A health name of the public listener: NOT_SERVING while another one than the paired service answers at the peer's
// address. Readiness does not depend on it.
inline constexpr char kPeerHealth[] = "peer";
// The same while a history does not go on (common/events/history.h).
inline constexpr char kHistoryHealth[] = "history";

// Calls grpc.health.v1.Health/Check for this name. OK if SERVING, otherwise FAILED_PRECONDITION. UNAVAILABLE: no
// answer. NOT_FOUND: an older release, which does not know the name.
//
// With `tls` it does not look who answers: nothing secret is sent, and who could take the address of this machine's own
// service could say the same without TLS. To compare with the files would call a service ill that serves on with the
// last good ones while the files are broken, and a restart, which could not take them, would be the answer to that.
absl::Status CheckHealth(const std::string& address, const std::string& name, absl::Duration timeout, bool tls = false);

}  // namespace crosskey::rpc
