// What decides who may call a service and whom it calls, and the record of that: all that the flags of access name.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/access/access.h"
#include "common/process/options.h"
#include "common/rpc/channel.h"
#include "common/rpc/gate.h"
#include "common/rpc/tls_files.h"
#include "common/telemetry/audit_log.h"
#include "common/telemetry/metrics.h"

namespace crosskey::server {

class Security {
 public:
  // Reads the files. INVALID_ARGUMENT: one of them cannot be read, or is wrong; the message names it.
  static absl::StatusOr<std::unique_ptr<Security>> Open(const process::Options& options, const std::string& service,
                                                        telemetry::Metrics& metrics);

  // Each is null where the flags do not ask for it.
  const std::shared_ptr<rpc::TlsFiles>& tls() const { return tls_; }
  const std::shared_ptr<rpc::TlsFiles>& internal_tls() const { return internal_tls_; }
  rpc::Gate* gate() const { return gate_.get(); }
  rpc::Gate* internal_gate() const { return internal_gate_.get(); }
  telemetry::AuditLog* audit() const { return audit_.get(); }

  // Who the peer is.
  rpc::PeerTls peer() const { return {internal_tls_, peer_identities_}; }

  // Takes policy, tokens and keys that have changed, and opens the record again if it has been moved. Front looks after
  // the certificates. To be called often; does something once a second.
  void Look(absl::Time now);

 private:
  Security() = default;

  std::vector<std::string> peer_identities_;
  std::shared_ptr<rpc::TlsFiles> tls_;
  std::shared_ptr<rpc::TlsFiles> internal_tls_;
  std::unique_ptr<access::Access> access_;
  std::unique_ptr<rpc::Gate> gate_;
  std::unique_ptr<rpc::Gate> internal_gate_;
  std::unique_ptr<telemetry::AuditLog> audit_;
  absl::Time looked_ = absl::InfinitePast();
};

}  // namespace crosskey::server
