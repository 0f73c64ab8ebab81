// A server that answers what a test gives it, whatever the method: the provider as the consumer's tests see it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>

#include "tests/contract/case.h"
#include "tests/contract/variables.h"

namespace crosskey::contract {

// Thread-safe.
class Stub {
 public:
  Stub();
  ~Stub();

  int port() const { return port_; }

  // From now on, calls of "user.v1.UserService/GetUser" are answered so: with these messages, then with the status. With
  // `stays_open`, a stream that follows: the status is for the day when the caller goes away.
  struct Reply {
    std::vector<std::string> messages;
    grpc::Status status;
    bool stays_open = false;
  };
  void Set(const std::string& rpc, Reply reply);
  // What the file of a case says, and returns that.
  Reply Answer(const Case& contract, const Variables& variables);
  // Sends a further message to every call of this method that stays open, and to those that come.
  void Append(const std::string& rpc, const std::string& message);

  // The request of the last call of this method; empty bytes also if there was none.
  std::string LastRequest(const std::string& rpc) const;
  int Calls(const std::string& rpc) const;
  // Fails the test if that request is not this one.
  void ExpectLastRequest(const std::string& rpc, const Json& request) const;

 private:
  class Service;
  class Reactor;

  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, Reply> replies_;
  std::map<std::string, std::string> requests_;
  std::map<std::string, int> calls_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace crosskey::contract
