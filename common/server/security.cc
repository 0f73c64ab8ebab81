#include "common/server/security.h"

#include "common/rpc/gates.h"
#include "common/status/macros.h"

namespace crosskey::server {
namespace {

constexpr absl::Duration kLookPeriod = absl::Seconds(1);

}  // namespace

absl::StatusOr<std::unique_ptr<Security>> Security::Open(const process::Options& options, const std::string& service,
                                                         telemetry::Metrics& metrics) {
  std::unique_ptr<Security> security(new Security());
  // These work with the database alone.
  if (options.command == "migrate" || options.command == "unpair") return security;
  if (!options.tls_cert.empty()) {
    rpc::TlsFiles::Options files{"public", "tls", {options.tls_cert, options.tls_key, options.tls_client_ca}};
    CROSSKEY_ASSIGN_OR_RETURN(security->tls_, rpc::TlsFiles::Load(files, metrics));
  }
  if (!options.internal_tls_cert.empty()) {
    rpc::TlsFiles::Options files{"internal",
                                 "internal_tls",
                                 {options.internal_tls_cert, options.internal_tls_key, options.internal_tls_ca},
                                 rpc::TlsUse::kServerAndClient};
    CROSSKEY_ASSIGN_OR_RETURN(security->internal_tls_, rpc::TlsFiles::Load(files, metrics));
    security->peer_identities_ = options.peer_identities;
    security->internal_gate_ = std::make_unique<rpc::PeerGate>(options.peer_identities);
  }
  const access::Options files{options.policy, options.tokens, options.jwt_keys, options.jwt_issuer,
                              options.jwt_audience};
  const bool knows_callers = !files.policy.empty() || !files.tokens.empty() || !files.jwt_keys.empty();
  if (knows_callers || !options.tls_client_ca.empty()) {
    CROSSKEY_ASSIGN_OR_RETURN(security->access_, access::Access::Load(files, metrics));
    security->gate_ = std::make_unique<rpc::AccessGate>(*security->access_, security->tls_ != nullptr);
  }
  if (!options.audit_log.empty()) {
    CROSSKEY_ASSIGN_OR_RETURN(security->audit_, telemetry::AuditLog::Open(options.audit_log, service, metrics));
  }
  return security;
}

void Security::Look(absl::Time now) {
  if (now - looked_ < kLookPeriod) return;
  looked_ = now;
  if (access_ != nullptr) access_->Look();
  if (audit_ != nullptr) audit_->Look();
}

}  // namespace crosskey::server
