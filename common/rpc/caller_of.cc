#include "common/rpc/caller_of.h"

#include <iterator>
#include <vector>

#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>

#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace crosskey::rpc {
namespace {

std::vector<std::string> ValuesOf(const grpc::AuthContext& auth, const char* property) {
  std::vector<std::string> values;
  for (const grpc::string_ref& value : auth.FindPropertyValues(property)) {
    values.emplace_back(value.data(), value.size());
  }
  return values;
}

}  // namespace

std::optional<std::string> IdentityOf(const CertificateNames& names) {
  const std::vector<std::string>& counting = names.uris.empty() ? names.dns : names.uris;
  if (counting.size() != 1) return std::nullopt;
  return counting.front();
}

access::Presented PresentedBy(const grpc::ServerContextBase& context, bool tls) {
  access::Presented presented;
  const auto [first, last] = context.client_metadata().equal_range("authorization");
  presented.authorizations = static_cast<int>(std::distance(first, last));
  if (first != last) presented.authorization.emplace(first->second.data(), first->second.size());
  if (!tls) return presented;
  const auto auth = context.auth_context();
  presented.has_certificate = !auth->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME).empty();
  if (!presented.has_certificate) return presented;
  presented.uris = ValuesOf(*auth, GRPC_PEER_URI_PROPERTY_NAME);
  presented.dns = ValuesOf(*auth, GRPC_PEER_DNS_PROPERTY_NAME);
  return presented;
}

std::string AddressOf(const grpc::ServerContextBase& context) {
  // gRPC says "ipv4:127.0.0.1:4711" and "ipv6:%5B::1%5D:4711".
  const std::string peer = context.peer();
  absl::string_view address = peer;
  if (!absl::ConsumePrefix(&address, "ipv4:")) absl::ConsumePrefix(&address, "ipv6:");
  return absl::StrReplaceAll(address, {{"%5B", "["}, {"%5D", "]"}, {"%25", "%"}});
}

}  // namespace crosskey::rpc
