// Servers of NATS JetStream of a test's own, which the test may kill, and what it asks them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/process/events_url.h"
#include "tests/support/certificates.h"
#include "tests/support/child_process.h"

namespace crosskey::testing {

// One message of a stream: "SEQUENCE TYPE", and whose it is.
struct Streamed {
  uint64_t place = 0;
  int64_t sequence = 0;
  std::string id;
  std::string type;
  std::string feed_id;
};

class NatsServers {
 public:
  // Whether there is a server program on this machine: $CROSSKEY_NATS_SERVER, or nats-server of the system.
  static bool AreInstalled();

  // Starts `count` servers on free ports, one or a cluster of three, and returns once they take streams; the test fails
  // if they do not. `more` is added to the configuration of each.
  explicit NatsServers(int count = 1, const std::string& more = "");
  ~NatsServers();
  NatsServers(const NatsServers&) = delete;
  NatsServers& operator=(const NatsServers&) = delete;

  std::vector<std::string> addresses() const;
  // For --events: all servers.
  std::string url(const std::string& prefix = "crosskey") const;
  process::EventsOptions options(const std::string& prefix = "crosskey") const;

  void Kill(int server);  // kill -9; its files stay
  void Start(int server);
  void Hang(int server) const;
  void GoOn(int server) const;
  // Waits until the servers that run take streams.
  void AwaitReady() const;

  // The rest is for servers that let everybody in. Each call fails the test if it does not succeed in a minute.
  // The server that leads a stream.
  int LeaderOf(const std::string& stream) const;
  void DeleteStream(const std::string& stream) const;
  void Purge(const std::string& stream) const;
  // With the subjects of `service`, one copy on each of `replicas` servers.
  void CreateStream(const std::string& service, absl::Duration duplicates, int replicas = 1) const;
  void DeleteMessage(const std::string& stream, uint64_t place) const;
  // Messages without headers.
  void PublishForeign(const std::string& subject, int count = 1) const;
  // All messages, in their order. Those that are no events have no id.
  std::vector<Streamed> All(const std::string& stream) const;
  int ConsumersOf(const std::string& stream) const;

 private:
  class Session;
  struct Server {
    int port;
    int routes;
    int monitor;
    std::unique_ptr<ChildProcess> process;
  };

  const Folder folder_;
  std::vector<Server> servers_;
};

}  // namespace crosskey::testing
