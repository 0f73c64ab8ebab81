#include "common/rpc/undecodable.h"

#include <grpcpp/support/status.h>

namespace crosskey::rpc {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::InterceptorBatchMethods;

class Watch : public grpc::experimental::Interceptor {
 public:
  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_MESSAGE)) {
      undecodable_ = methods->GetRecvMessage() == nullptr;
    }
    if (undecodable_ && methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      methods->ModifySendStatus(grpc::Status(grpc::StatusCode::INTERNAL, "the request cannot be decoded"));
    }
    methods->Proceed();
  }

 private:
  bool undecodable_ = false;
};

}  // namespace

grpc::experimental::Interceptor* Undecodable::CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) {
  using Type = grpc::experimental::ServerRpcInfo::Type;
  const bool has_one_request = info->type() == Type::UNARY || info->type() == Type::SERVER_STREAMING;
  return has_one_request ? new Watch() : nullptr;  // gRPC owns it from here on
}

}  // namespace crosskey::rpc
