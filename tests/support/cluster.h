// For fault tests: replicas of both services as processes that have fault points and, where wanted, gates between them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "post/v1/post_service.grpc.pb.h"
#include "tests/support/child_process.h"
#include "tests/support/tcp_gate.h"
#include "tests/support/test_database.h"
#include "user/v1/user_service.grpc.pb.h"

namespace crosskey::testing {

enum class Side { kUsers, kPosts };

class Secured;

class Cluster {
 public:
  struct Options {
    int replicas = 1;                // of each service; on SQLite one
    bool gates = false;              // between the services, and in front of a database server, not of a cluster
    std::vector<std::string> flags;  // of every process
    bool shipped = false;            // the programs that are shipped, which have no fault points
    std::string database_user = {};  // the account that the services use; empty: that of the tests
    // With TLS and a policy; the stubs and channels of the cluster are allowed everything. Null: without.
    std::shared_ptr<const Secured> secured = nullptr;
    bool every_node = false;  // of a cluster of databases is known to each process, its own first
  };

  // Migrates both databases and starts nothing. On a cluster of databases each replica has a node of its own, and also
  // another one than the replica of the other service that it calls.
  Cluster(const std::string& backend, Options options);
  ~Cluster();  // kills what runs

  int replicas() const { return options_.replicas; }

  // Starts all processes that do not run, and waits until all serve.
  void StartAll();
  // Starts one process with further flags, "--fault" for example. With `wait`, returns when it serves.
  void Start(Side side, int replica = 0, const std::vector<std::string>& more = {}, bool wait = true);
  // Runs a command of the service, with `more` flags, to its end. Returns the exit code.
  int Run(Side side, const std::string& command, const std::vector<std::string>& more, std::string* output);
  void Kill(Side side, int replica = 0);  // kill -9
  bool Running(Side side, int replica = 0) const;
  ChildProcess& process(Side side, int replica = 0) { return *At(side, replica).process; }
  bool Healthy(Side side, int replica = 0) const;

  user::v1::UserService::Stub& users(int replica = 0) { return *users_[static_cast<size_t>(replica)]; }
  post::v1::PostService::Stub& posts(int replica = 0) { return *posts_[static_cast<size_t>(replica)]; }

  // The gates through which `side` reaches its peer and its database. Null without gates; the gate to the database also
  // on SQLite.
  TcpGate* peer_gate(Side side, int replica = 0) { return At(side, replica).peer_gate.get(); }
  TcpGate* database_gate(Side side) { return side == Side::kUsers ? user_db_gate_.get() : post_db_gate_.get(); }

  TestDatabase& user_db() { return user_db_; }
  TestDatabase& post_db() { return post_db_; }
  // The node of the cluster of databases that a replica has.
  int NodeOf(Side side, int replica) const;
  int port(Side side, int replica = 0) const { return At(side, replica).port; }
  int internal_port(Side side, int replica = 0) const { return At(side, replica).internal_port; }
  int metrics_port(Side side, int replica = 0) const { return At(side, replica).metrics_port; }

  std::shared_ptr<grpc::Channel> OpenPublic(Side side, int replica = 0) const;
  // A channel to the internal listener, whose calls say that they come from the other service.
  std::shared_ptr<grpc::Channel> OpenInternal(Side side, int replica = 0) const;

  // The flags of TLS and policy, if there are any.
  std::vector<std::string> SecurityFlags(Side side) const;

  // See integrity.h; the test fails if it does not become quiet.
  void AwaitQuiet();
  int64_t Orphans();

 private:
  struct Replica {
    int port;
    int internal_port;
    int metrics_port;
    std::unique_ptr<TcpGate> peer_gate;  // in front of the peer that it calls
    std::unique_ptr<ChildProcess> process;
  };

  // For a cluster that says nothing of --events, if tests/nats has servers for it: see CROSSKEY_TEST_EVENTS there.
  std::vector<std::string> EventFlags() const;
  Replica& At(Side side, int replica);
  const Replica& At(Side side, int replica) const;
  std::string Program(Side side) const;
  std::vector<std::string> Flags(Side side, int replica) const;

  const Options options_;
  TestDatabase user_db_;
  TestDatabase post_db_;
  std::unique_ptr<TcpGate> user_db_gate_;
  std::unique_ptr<TcpGate> post_db_gate_;
  std::vector<Replica> user_replicas_;
  std::vector<Replica> post_replicas_;
  std::vector<std::unique_ptr<user::v1::UserService::Stub>> users_;
  std::vector<std::unique_ptr<post::v1::PostService::Stub>> posts_;
};

}  // namespace crosskey::testing
