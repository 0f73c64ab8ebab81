#include "common/rpc/gates.h"

#include <algorithm>

#include "common/rpc/caller_of.h"
#include "common/status/errors.h"

namespace crosskey::rpc {

absl::StatusOr<std::shared_ptr<const Caller>> AccessGate::Recognize(const grpc::ServerContextBase& context) {
  return access_.Authenticate(PresentedBy(context, tls_));
}

absl::Status AccessGate::Allow(const Caller& caller, const std::string& method) {
  return access_.Authorize(caller, method);
}

absl::StatusOr<std::shared_ptr<const Caller>> PeerGate::Recognize(const grpc::ServerContextBase& context) {
  access::Presented presented = PresentedBy(context, true);
  Caller caller;
  caller.principal = IdentityOf({std::move(presented.uris), std::move(presented.dns)}).value_or("");
  return std::make_shared<const Caller>(std::move(caller));
}

absl::Status PeerGate::Allow(const Caller& caller, const std::string&) {
  const bool is_peer = std::find(identities_.begin(), identities_.end(), caller.principal) != identities_.end();
  return is_peer ? absl::OkStatus() : errors::PermissionDenied("peer");
}

}  // namespace crosskey::rpc
