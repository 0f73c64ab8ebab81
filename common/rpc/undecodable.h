// Answers calls whose request cannot be decoded.
#pragma once

#include <grpcpp/support/server_interceptor.h>

namespace crosskey::rpc {

// gRPC's callback API answers UNIMPLEMENTED to a request that it cannot decode, for example because a text is not
// UTF-8, as if there were no such method. This interceptor factory makes INTERNAL of it, as the rest of gRPC does.
// Thread-safe.
class Undecodable : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override;
};

}  // namespace crosskey::rpc
