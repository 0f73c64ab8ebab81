// What the caller of a call presents to say who it is. Nothing is decided here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <grpcpp/server_context.h>

#include "common/access/access.h"

namespace crosskey::rpc {

// The subject alternative names of a certificate.
struct CertificateNames {
  std::vector<std::string> uris;
  std::vector<std::string> dns;
};

// The identity of a certificate: its only URI, or without any URI its only DNS name, compared byte by byte. Names of
// other kinds do not count. nullopt: it has several, or none.
std::optional<std::string> IdentityOf(const CertificateNames& names);

// The certificate of the connection and the header `authorization`. The header is good for as long as the context is,
// and a secret: never to be logged. `tls`: whether the listener speaks it. Without it there can be no certificate, and
// none is looked for.
access::Presented PresentedBy(const grpc::ServerContextBase& context, bool tls);

// The other end of the connection, which may be a proxy: "127.0.0.1:4711" or "[::1]:4711".
std::string AddressOf(const grpc::ServerContextBase& context);

}  // namespace crosskey::rpc
