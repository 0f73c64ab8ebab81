// The sockets of a listener: who gets a connection.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/server_builder.h>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/telemetry/metrics.h"

namespace crosskey::rpc {

// Listens on an address, accepts connections, and hands them to a gRPC server. gRPC can do that by itself, but then
// nothing bounds the connections, and once a process has no descriptor left, gRPC 1.51 never accepts again
// (CVE-2023-4785).
//
// A connection whose descriptor would be `most` or higher is ended at once. The kernel gives the lowest free number, so
// this bounds the connections without a count of them: a descriptor of `most` means that all below it are in use.
class Acceptor {
 public:
  // `address` is "host:port"; port 0 takes any free one. UNAVAILABLE: it cannot be bound; the message names it.
  static absl::StatusOr<std::unique_ptr<Acceptor>> Listen(const std::string& address, int most,
                                                          prometheus::Counter& refused);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  int port() const { return port_; }

  // Connects to each of its sockets. Whether somebody on the other side speaks, or ends the connection, within that
  // time: a gRPC server begins with its settings, and one with TLS answers a greeting. A connection alone says nothing,
  // because the kernel makes it.
  bool Answers(absl::Duration timeout, bool tls) const;

  // Begins to hand connections to the server that `server` belongs to. It must be running.
  void Start(std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server);
  // Connections are refused from now on. To be called before the server shuts down.
  void Stop();

 private:
  Acceptor(std::vector<int> sockets, int port, int most, prometheus::Counter& refused);

  void Run();
  void AcceptAll(int socket);

  const std::vector<int> sockets_;  // listening
  const int port_;
  const int most_;
  int stop_ = -1;  // an eventfd that wakes the thread
  prometheus::Counter& refused_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> server_;
  std::thread thread_;
};

// Lets the process have as many descriptors as its hard limit allows. Returns that number.
int RaiseDescriptorLimit();

}  // namespace crosskey::rpc
