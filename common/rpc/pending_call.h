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

// Owned by the line that it waits in, or by the function that does it. The request and the response of the call are
// valid until End.
class PendingCall {
 public:
  PendingCall(const PendingCall&) = delete;
  PendingCall& operator=(const PendingCall&) = delete;

  // Deadline, cancellation and trace context.
  const Call& call() const { return call_; }

  // Answers the call, and deletes this object.
  void End(const absl::Status& status);

  // Whether the call may go on waiting in a line: RESOURCE_EXHAUSTED OVERLOADED shortly before its deadline, so that
  // its client still hears why, or CANCELLED.
  absl::Status Waiting() const;

 private:
  friend class Calls;
  PendingCall(Calls& calls, Method& method, Call call, grpc::ServerUnaryReactor* reactor);
  ~PendingCall() = default;

  Calls& calls_;
  Method& method_;
  const Call call_;
  // gRPC's own reactor, whose end costs no thread switch.
  grpc::ServerUnaryReactor* const reactor_;
  const absl::Time begin_;
  bool admitted_ = false;
};

}  // namespace crosskey::rpc
