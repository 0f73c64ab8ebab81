// TLS with keys and certificates from files that may be replaced while the process runs.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "common/files/watched_files.h"
#include "common/rpc/tls_check.h"
#include "common/telemetry/metrics.h"
#include "common/telemetry/metrics_server.h"

namespace crosskey::rpc {

// Whether a listener asks its clients for certificates.
enum class ClientCertificates {
  kNone,
  kOptional,  // without one a client is nobody, with one that is not trusted it cannot connect
  kRequired,
};

// One pair of key and certificates, and perhaps the certificates that are trusted. Whoever replaces the files may do so
// in any way: what is in use stays in use until all that is in the files is good. gRPC begins to use it within 1 s, for
// new connections. Connections that are open go on.
//
// Must outlive the listeners and channels that use it. Only Look changes it: one thread at a time. Others may ask for
// the pair meanwhile.
class TlsFiles {
 public:
  struct Options {
    std::string listener;  // "public" or "internal": the label of the metric of the leaf's end
    std::string file;      // "tls" or "internal_tls": the label of the metric of problems
    TlsPaths paths;
    TlsUse use = TlsUse::kServer;
  };

  // INVALID_ARGUMENT: see files::ReadFile and CheckTls.
  static absl::StatusOr<std::shared_ptr<TlsFiles>> Load(const Options& options, telemetry::Metrics& metrics,
                                                        absl::Time now = absl::Now());
  ~TlsFiles();
  TlsFiles(const TlsFiles&) = delete;
  TlsFiles& operator=(const TlsFiles&) = delete;

  bool has_ca() const { return !options_.paths.ca.empty(); }

  // Takes what is in the files if it has changed and is good: see files::WatchedFiles. A certificate that is not valid
  // yet is taken when it is. To be called every second or so.
  void Look(absl::Time now);

  // What is in use, for whoever does TLS without gRPC.
  telemetry::PemPair pair() const;

  // Of a listener. Anything but kNone needs a CA. TLS 1.2 at least, as gRPC has it.
  std::shared_ptr<grpc::ServerCredentials> ForServer(ClientCertificates clients) const;
  // Of a channel that presents the certificate. The server's must be verified by the CA, and its identity be one of
  // these. The address that it is reached at does not matter.
  std::shared_ptr<grpc::ChannelCredentials> ForChannel(const std::vector<std::string>& identities) const;

 private:
  // For gRPC: it must have been initialized as long as there is a provider.
  struct Library {
    Library();
    ~Library();
  };
  class MemoryFile;

  TlsFiles(const Options& options, telemetry::Metrics& metrics);
  absl::Status CheckAndTake(const std::vector<std::string>& contents);
  absl::Status Take(const TlsMaterial& material);

  const Options options_;
  prometheus::Gauge& end_;
  files::WatchedFiles files_;
  absl::Time now_;            // of the last look
  mutable std::mutex mutex_;  // guards pem_
  telemetry::PemPair pem_;
  const Library library_;
  // What gRPC reads. The provider looks at them, so it must go first.
  std::unique_ptr<MemoryFile> pair_;
  std::unique_ptr<MemoryFile> ca_;
  std::shared_ptr<grpc::experimental::CertificateProviderInterface> provider_;
};

// Of a client that does not care who answers, and does not say who it is. For what is no secret.
std::shared_ptr<grpc::ChannelCredentials> AnyServer();

}  // namespace crosskey::rpc
