// Who may pass a listener.
#pragma once

#include <memory>
#include <string>

#include <grpcpp/server_context.h>

#include "absl/status/statusor.h"
#include "common/status/caller.h"

namespace crosskey::rpc {

// Decides for each call of a listener who makes it and whether it may. Asked on gRPC's own threads, so it must not
// wait. Thread-safe.
class Gate {
 public:
  virtual ~Gate() = default;

  // Who makes the call; `method` is "/user.v1.UserService/GetUser". UNAUTHENTICATED: it says who it is, and it is not.
  virtual absl::StatusOr<std::shared_ptr<const Caller>> Recognize(const grpc::ServerContextBase& context) = 0;
  // UNAUTHENTICATED: the method is not for nobody. PERMISSION_DENIED: it is not for this caller.
  virtual absl::Status Allow(const Caller& caller, const std::string& method) = 0;
};

}  // namespace crosskey::rpc
