// Bounds the open streams of a service that is not ours, and so does not go through Calls: reflection.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include <grpcpp/support/server_interceptor.h>

namespace crosskey::rpc {

// For a server's interceptors: the calls whose method begins with `prefix` are counted, and those beyond `limit` are cancelled
// as they begin, so that they hold no thread. Their clients get CANCELLED. An open stream of a synchronous service holds a
// thread even if it is idle, whatever its connection: without this a few clients could take all threads of a listener.
// Thread-safe.
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
