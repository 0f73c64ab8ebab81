// A unary call that has been taken and not been answered yet.
#pragma once

#include <string>

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "absl/status/status.h"
#include "common/status/call.h"

namespace crosskey::rpc {

class Calls;
struct Method;

// gRPC's object for the call: it is deleted by gRPC once the answer is sent. The request and the response of the call
// are valid until End.
class PendingCall final : public grpc::ServerUnaryReactor {
 public:
  // Deadline, cancellation and trace context.
  const Call& call() const { return call_; }

  // Answers the call. To be called once; the object must not be used afterwards.
  void End(const absl::Status& status);

  // Whether the call may go on waiting in a line: RESOURCE_EXHAUSTED OVERLOADED shortly before its deadline, so that its
  // client still hears why, or CANCELLED.
  absl::Status Waiting() const;

 private:
  friend class Calls;
  PendingCall(Calls& calls, Method& method, Call call);

  void OnDone() override { delete this; }

  Calls& calls_;
  Method& method_;
  const Call call_;
  const absl::Time begin_;
  bool admitted_ = false;
};

}  // namespace crosskey::rpc
