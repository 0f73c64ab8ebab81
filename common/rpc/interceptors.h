// Makes gRPC's interceptor factories from functions.
#pragma once

#include <memory>
#include <utility>

#include <grpcpp/support/server_interceptor.h>

namespace crosskey::rpc {

// A factory that calls `make(ServerRpcInfo&)` as each call begins. It returns a new interceptor, which gRPC owns from
// then on, or nullptr for none. It must be safe to call from several threads at once.
template <typename Make>
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> InterceptorFactory(Make make) {
  class Factory final : public grpc::experimental::ServerInterceptorFactoryInterface {
   public:
    explicit Factory(Make make) : make_(std::move(make)) {}
    grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
      return make_(*info);
    }

   private:
    const Make make_;
  };
  return std::make_unique<Factory>(std::move(make));
}

}  // namespace crosskey::rpc
