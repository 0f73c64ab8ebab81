// The calls that clients make.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <grpcpp/grpcpp.h>

#include "post/v1/post_service.grpc.pb.h"
#include "tests/benchmark/client/population.h"
#include "user/v1/user_service.grpc.pb.h"

namespace crosskey::benchmark {

// The title and the content that every post has, in every system that is measured.
std::string PostTitle();
std::string PostContent();

// From now on connections use TLS, verify the server by this file, and bring this bearer token with each call.
void ConnectSecurely(const std::string& ca_file, const std::string& token);

// A connection of one client: to the server of the method, with the stub of its service.
struct Connection {
  Connection(const std::string& address, bool to_users);
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<user::v1::UserService::Stub> users;  // set if `to_users`
  std::unique_ptr<post::v1::PostService::Stub> posts;  // set otherwise
};

// A call in flight.
class Flight {
 public:
  Flight();
  virtual ~Flight() = default;
  // Whether the answer has what was asked for. Only if `status` is OK.
  virtual bool IsRight() const = 0;

  grpc::ClientContext context;
  grpc::Status status;
};

struct Method {
  bool to_users;  // a method of user-service
  // Starts the call number `n` of a group; `tag` comes out of the queue when it is answered.
  std::function<std::unique_ptr<Flight>(Connection& connection, grpc::CompletionQueue* queue, void* tag, int64_t n)>
      start;
};

// Throws std::invalid_argument for an unknown name. `population` has to live longer than the method.
Method FindMethod(const std::string& name, const Population& population, int64_t seed);

// An element, chosen by the number of the call as if by chance.
int64_t Choose(const std::vector<int64_t>& ids, int64_t seed, int64_t n);

// A number from 0 to `size` - 1, likewise.
int64_t ChooseBelow(int64_t size, int64_t seed, int64_t n);

// A UUID that no other call has.
std::string NewRequestId();

}  // namespace crosskey::benchmark
