// A unary call that has been taken and not been answered yet.
#pragma once

#include <string>

#include <google/protobuf/message.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "absl/status/status.h"
#include "common/status/call.h"

namespace crosskey::rpc {

class Calls;
struct Method;

// The messages of a call. Null: not known.
struct Messages {
  const google::protobuf::Message* request = nullptr;
  const google::protobuf::Message* response = nullptr;
};

// Whether a call may go on waiting in a line: RESOURCE_EXHAUSTED OVERLOADED shortly before its deadline, so that its
// client still hears why, or CANCELLED.
absl::Status MayWait(const Call& call);

// gRPC's object for the call. Until End it belongs to the line that it waits in, or to the function that does it, and
// the request and the response of the call are valid.
class PendingCall final : public grpc::ServerUnaryReactor {
 public:
  // Deadline, cancellation, trace context and caller.
  const Call& call() const { return call_; }

  // The call changes something, so its end is for the audit record, which says what these messages name.
  void Changes(Messages messages) { changes_ = messages; }

  // Answers the call. The object must not be used afterwards: gRPC deletes it when the answer is sent.
  void End(const absl::Status& status);

  absl::Status Waiting() const { return MayWait(call_); }

 private:
  friend class Calls;
  PendingCall(Calls& calls, Method& method, const grpc::CallbackServerContext& context, Call call);
  ~PendingCall() override = default;

  void OnDone() override;
  // OnDone waits for nothing, so gRPC need not switch threads for it. (gRPC calls this internal; its own default
  // reactor does the same.)
  bool InternalInlineable() override { return true; }

  Calls& calls_;
  Method& method_;
  const grpc::CallbackServerContext& context_;
  Call call_;
  const absl::Time begin_;
  Messages changes_;
  std::string name_;  // of its caller, see Admission::NameOf
  bool admitted_ = false;
};

}  // namespace crosskey::rpc
