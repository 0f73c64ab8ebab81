// A service as the provider of some cases, in the environment that these cases share.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <thread>

#include "tests/contract/call.h"
#include "tests/contract/states.h"
#include "tests/support/watch.h"

namespace crosskey::contract {

// The clusters on one database. Starting a cluster costs more than most environments do, so the environments share a
// few.
class Clusters {
 public:
  explicit Clusters(const std::string& backend, std::shared_ptr<const testing::Secured> secured = nullptr)
      : backend_(backend), all_secured_(secured != nullptr), secured_(std::move(secured)) {}

  // Returns a cluster in which nothing runs, or all is well.
  testing::Cluster& For(Environment environment, testing::Side side);
  // Of the clusters with TLS and a policy.
  const testing::Secured& secured() const { return *secured_; }

 private:
  const std::string backend_;
  const bool all_secured_;
  std::shared_ptr<const testing::Secured> secured_;
  std::map<std::string, testing::Cluster> clusters_;
};

// Call Prepare for each case, then Enter, then Call, also from several threads. Data are made before Enter, while all
// is well.
class Provider {
 public:
  Provider(Clusters& clusters, Environment environment, testing::Side side);
  ~Provider();  // ends the environment

  void Prepare(const Case& contract, Variables& variables);
  void Enter();
  Answer Call(const Case& contract, const Variables& variables);
  // What the processes that run have written: the log, and the audit record if there is one.
  std::string Logs() const;

 private:
  void Restart(const std::vector<std::string>& flags);
  void StartWithoutDatabase();
  void RenameTables(const std::string& before, const std::string& after);
  void HoldOneCall(const std::vector<std::string>& more);
  std::shared_ptr<grpc::Channel> OpenFor(const Clusters& clusters) const;

  testing::TestDatabase& database();

  testing::Cluster& cluster_;
  const Environment environment_;
  const testing::Side side_;
  testing::Hold hold_;
  std::unique_ptr<testing::ChildProcess> without_database_;
  std::shared_ptr<grpc::Channel> public_channel_;
  std::shared_ptr<grpc::Channel> internal_channel_;
  std::thread held_call_;
};

}  // namespace crosskey::contract
