// What gRPC does with calls before, or instead of, handing them to us.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include <grpcpp/support/server_interceptor.h>

namespace crosskey::rpc {

// Some calls never get as far as a handler: their request is too large, is compressed, or is never sent to its end.
// gRPC counts the calls of each server for its channelz, and this counts those that come through. For one listener.
class LibraryCalls {
 public:
  // An interceptor factory that counts. It makes no interceptor.
  std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> CountThoseThatComeThrough();
  // To be called when the server has been started, before the next one is.
  void TakeNewestServer();

  // The calls that have begun and have not come through.
  int64_t NotHandled() const;

 private:
  const std::shared_ptr<std::atomic<int64_t>> handled_ = std::make_shared<std::atomic<int64_t>>(0);
  int64_t server_ = 0;  // its number in channelz
};

}  // namespace crosskey::rpc
