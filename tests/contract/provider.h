// Both services as processes, one of them as the provider of some cases, in the environment that these share.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "tests/contract/call.h"
#include "tests/contract/states.h"
#include "tests/support/watch.h"

namespace crosskey::contract {

// Prepare for each case, then Enter, then Call. Data are made while all is well.
class Provider {
 public:
  Provider(const std::string& backend, Environment environment, testing::Side side);
  ~Provider();

  void Prepare(const Case& contract, Variables& variables);
  void Enter();
  Answer Call(const Case& contract, const Variables& variables);

 private:
  void Restart(const std::vector<std::string>& flags);
  void StartWithoutDatabase();
  void BreakDatabase();
  void HoldOneCall(const std::vector<std::string>& more);

  const std::string backend_;
  const Environment environment_;
  const testing::Side side_;
  testing::Hold hold_;
  testing::Cluster cluster_;
  std::unique_ptr<testing::ChildProcess> without_database_;
  std::shared_ptr<grpc::Channel> public_channel_;
  std::shared_ptr<grpc::Channel> internal_channel_;
  std::thread held_call_;
};

}  // namespace crosskey::contract
