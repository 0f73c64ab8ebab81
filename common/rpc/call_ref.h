// A hold on a call of gRPC that may end at any time.
#pragma once

#include <string>
#include <utility>

#include <grpc/grpc.h>
#include <grpcpp/server_context.h>

namespace crosskey::rpc {

// A context is gone as soon as its call has ended, and the end may come in another thread, or within End. gRPC's own
// reference keeps the call itself, so it can be ended whenever that may be.
class CallRef {
 public:
  // To be made while the context is there, by an interceptor for example.
  explicit CallRef(grpc::ServerContextBase& context) : call_(context.c_call()) { grpc_call_ref(call_); }
  CallRef(CallRef&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
  CallRef& operator=(CallRef&& other) noexcept {
    std::swap(call_, other.call_);
    return *this;
  }
  ~CallRef() {
    if (call_ != nullptr) grpc_call_unref(call_);
  }

  // Ends the call with this status, unless it has one already. The caller must hold no lock that the end of the call
  // takes.
  void End(grpc_status_code code, const std::string& why) const {
    grpc_call_cancel_with_status(call_, code, why.c_str(), nullptr);
  }

 private:
  grpc_call* call_;
};

}  // namespace crosskey::rpc
