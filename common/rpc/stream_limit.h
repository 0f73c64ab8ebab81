// Limits the open streams of reflection. That service is gRPC's own, so its calls do not go through rpc::Calls.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include <grpcpp/support/server_interceptor.h>

namespace crosskey::rpc {

// An open stream of a synchronous service holds a thread even if it is idle, and a limit for each connection does not
// bound them all. Without this a few clients could take all threads of a listener. So this interceptor factory counts
// the open calls whose method begins with `prefix`, and cancels those beyond `limit` as they begin, so that they hold
// no thread. Their clients get CANCELLED. Thread-safe.
class StreamLimit : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  StreamLimit(std::string prefix, int limit) : prefix_(std::move(prefix)), limit_(limit) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override;

 private:
  const std::string prefix_;
  const int limit_;
  const std::shared_ptr<std::atomic<int>> open_ = std::make_shared<std::atomic<int>>(0);
};

}  // namespace crosskey::rpc
