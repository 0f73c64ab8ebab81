#include "common/rpc/reflection_gate.h"

#include <string>

#include "absl/strings/match.h"
#include "common/rpc/call_ref.h"
#include "common/rpc/interceptors.h"

namespace crosskey::rpc {
namespace {

class Guard : public grpc::experimental::Interceptor {
 public:
  Guard(Gate& gate, grpc::ServerContextBase& context, std::string method)
      : gate_(gate), context_(context), method_(std::move(method)) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    using grpc::experimental::InterceptionHookPoints;
    // The handler still runs, but its first read fails and ends it.
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_INITIAL_METADATA)) {
      const absl::Status status = Pass();
      if (!status.ok()) {
        CallRef(context_).End(static_cast<grpc_status_code>(status.code()), std::string(status.message()));
      }
    }
    methods->Proceed();
  }

 private:
  absl::Status Pass() {
    const auto caller = gate_.Recognize(context_);
    return caller.ok() ? gate_.Allow(**caller, method_) : caller.status();
  }

  Gate& gate_;
  grpc::ServerContextBase& context_;
  const std::string method_;
};

}  // namespace

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> ReflectionGate(Gate& gate) {
  return InterceptorFactory([&gate](grpc::experimental::ServerRpcInfo& info) -> grpc::experimental::Interceptor* {
    if (!absl::StartsWith(info.method(), "/grpc.reflection.")) return nullptr;
    return new Guard(gate, *info.server_context(), info.method());  // gRPC owns it from here on
  });
}

}  // namespace crosskey::rpc
