// A server that answers any method with what a test has set: it stands for the provider in the tests of consumers.
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

  // From now on, calls of `rpc` ("user.v1.UserService/GetUser") are answered with these messages, and end with the
  // status. With `stays_open` they do not end: each waits for what Append adds until its caller goes away.
  struct Reply {
    std::vector<std::string> messages;
    grpc::Status status;
    bool stays_open = false;
  };
  void Set(const std::string& rpc, Reply reply);
  // Sets what the file of the case says as the answer, and returns it.
  Reply Answer(const Case& contract, const Variables& variables);
  // Adds a message to the answer of this method: for every call that is open, and for those that come.
  void Append(const std::string& rpc, const std::string& message);

  // The bytes of the last request to this method; empty also if there was none.
  std::string LastRequest(const std::string& rpc) const;
  int Calls(const std::string& rpc) const;
  // Fails the test if the last request to this method is not `request`.
  void ExpectLastRequest(const std::string& rpc, const Json& request) const;

 private:
  class Service;
  class Reactor;

  mutable std::mutex mutex_;  // guards the three maps
  std::map<std::string, Reply> replies_;
  std::map<std::string, std::string> requests_;
  std::map<std::string, int> calls_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace crosskey::contract
