// The gates of the two listeners.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/access/access.h"
#include "common/rpc/gate.h"

namespace crosskey::rpc {

// Of the public listener: certificates, tokens and the policy decide.
class AccessGate final : public Gate {
 public:
  // `access` must outlive it. `tls`: whether the listener speaks it, so that there may be certificates.
  AccessGate(const access::Access& access, bool tls) : access_(access), tls_(tls) {}

  absl::StatusOr<std::shared_ptr<const Caller>> Recognize(const grpc::ServerContextBase& context) override;
  absl::Status Allow(const Caller& caller, const std::string& method) override;

 private:
  const access::Access& access_;
  const bool tls_;
};

// Of the internal listener with TLS: every method is for the other service and for nobody else, also those that are
// taken from anybody otherwise. What a call says of its caller can be copied, a certificate cannot.
class PeerGate final : public Gate {
 public:
  // The names that the other service's certificate may have.
  explicit PeerGate(std::vector<std::string> identities) : identities_(std::move(identities)) {}

  // The only URI of the certificate, or without any URI its only DNS name. Several or none: nobody.
  absl::StatusOr<std::shared_ptr<const Caller>> Recognize(const grpc::ServerContextBase& context) override;
  absl::Status Allow(const Caller& caller, const std::string& method) override;

 private:
  const std::vector<std::string> identities_;
};

}  // namespace crosskey::rpc
