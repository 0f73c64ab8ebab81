// What the caller of a call presents to say who it is. Nothing is decided here.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <grpcpp/server_context.h>

namespace crosskey::rpc {

// The subject alternative names of a certificate.
struct CertificateNames {
  std::vector<std::string> uris;
  std::vector<std::string> dns;
};

// The identity of a certificate: its only URI, or without any URI its only DNS name, compared byte by byte. Names of
// other kinds do not count. nullopt: it has several, or none.
std::optional<std::string> IdentityOf(const CertificateNames& names);

struct Presented {
  bool has_certificate = false;  // one that was verified
  CertificateNames names;
  size_t authorizations = 0;  // how many headers of that name there are
  std::string authorization;  // the value of the first one. A secret: never to be logged
  std::string address;        // "127.0.0.1:4711" or "[::1]:4711"
};

// `tls`: whether the listener speaks it. Without it there can be no certificate, and none is looked for.
Presented CallerOf(const grpc::CallbackServerContext& context, bool tls);

}  // namespace crosskey::rpc
