#include "common/rpc/tls_files.h"

#include <algorithm>
#include <cerrno>
#include <functional>
#include <mutex>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <grpc/grpc.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <sys/mman.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "common/status/limits.h"
#include "common/status/macros.h"
#include "common/telemetry/log.h"

namespace crosskey::rpc {
namespace {

using grpc::experimental::ExternalCertificateVerifier;
using grpc::experimental::TlsCustomVerificationCheckRequest;

constexpr unsigned kReadPeriodSeconds = 1;  // how often gRPC looks, the least that it takes

// A text in memory, as a file; -1: there is no room for it. `time` becomes its time of change.
int MakeMemoryFile(const std::string& text, time_t time) {
  const int file = memfd_create("tls", MFD_CLOEXEC);
  if (file < 0) return -1;
  const timespec times[] = {{time, 0}, {time, 0}};
  if (write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && futimens(file, times) == 0) {
    return file;
  }
  close(file);
  return -1;
}

absl::Status NoRoom() {
  return absl::ResourceExhaustedError("there is no room for the certificates: " +
                                      std::generic_category().message(errno));
}

// gRPC calls it when the server's certificate has been verified. A certificate without an identity of the list belongs
// to somebody who is trusted and is not the peer.
class IsOneOf final : public ExternalCertificateVerifier {
 public:
  explicit IsOneOf(std::vector<std::string> identities) : identities_(std::move(identities)) {}

  bool Verify(TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* status) override {
    // The names that gRPC gives end at a zero byte.
    const grpc::string_ref pem = request->peer_cert();
    const std::optional<std::string> identity = IdentityOf(NamesIn(std::string(pem.data(), pem.size())));
    const bool is_right =
        identity.has_value() && std::find(identities_.begin(), identities_.end(), *identity) != identities_.end();
    *status = is_right ? grpc::Status::OK
                       : grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "the server is not one of the peers");
    Report(is_right ? "" : identity.value_or("none, or several"));
    return true;  // done
  }
  void Cancel(TlsCustomVerificationCheckRequest*) override {}

 private:
  // The channel tries again and again, so a stranger is told of once.
  void Report(const std::string& stranger) {
    {
      std::lock_guard lock(mutex_);
      if (std::exchange(stranger_, stranger) == stranger) return;
    }
    if (!stranger.empty())
      log::Warning("the certificate at the peer's address is not the peer's", {{"identity", stranger}});
  }

  const std::vector<std::string> identities_;
  std::mutex mutex_;
  std::string stranger_;
};

class Anybody final : public ExternalCertificateVerifier {
 public:
  bool Verify(TlsCustomVerificationCheckRequest*, std::function<void(grpc::Status)>, grpc::Status* status) override {
    *status = grpc::Status::OK;
    return true;
  }
  void Cancel(TlsCustomVerificationCheckRequest*) override {}
};

}  // namespace

// A file that is in memory only, and replaced as a whole. gRPC can watch certificates in files and nowhere else, and it
// opens two files one after the other, which may have been replaced in between.
class TlsFiles::MemoryFile {
 public:
  explicit MemoryFile(const std::string& text) : fd_(MakeMemoryFile(text, version_)) {}
  ~MemoryFile() {
    if (fd_ >= 0) close(fd_);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  bool ok() const { return fd_ >= 0; }
  std::string path() const { return absl::StrCat("/proc/self/fd/", fd_); }

  // Who opens the path gets the old text or the new one, never a part. gRPC reads key and certificates one after the
  // other, and again if the time of change, in seconds, is another one afterwards: so each text has a time of its own.
  absl::Status Replace(const std::string& text) {
    const int next = MakeMemoryFile(text, ++version_);
    if (next < 0) return NoRoom();
    const bool replaced = dup3(next, fd_, O_CLOEXEC) >= 0;
    absl::Status status = replaced ? absl::OkStatus() : NoRoom();
    close(next);
    return status;
  }

 private:
  time_t version_ = 1;  // gRPC takes 0 for an error
  const int fd_;
};

TlsFiles::Library::Library() { grpc_init(); }
TlsFiles::Library::~Library() { grpc_shutdown(); }

absl::StatusOr<std::shared_ptr<TlsFiles>> TlsFiles::Load(const Options& options, telemetry::Metrics& metrics,
                                                         absl::Time now) {
  std::shared_ptr<TlsFiles> files(new TlsFiles(options, metrics));
  files->now_ = now;
  std::vector<std::string> paths = {options.paths.certificate, options.paths.key};
  if (files->has_ca()) paths.push_back(options.paths.ca);
  TlsFiles* const made = files.get();  // lives as long as its files_, which call this
  CROSSKEY_RETURN_IF_ERROR(files->files_.Add(options.file, paths, limits::kTlsFileBytes,
                                             [made](const auto& contents) { return made->CheckAndTake(contents); }));
  const std::string pair = files->pair_->path();
  files->provider_ = std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      pair, pair, files->ca_ == nullptr ? "" : files->ca_->path(), kReadPeriodSeconds);
  return files;
}

TlsFiles::TlsFiles(const Options& options, telemetry::Metrics& metrics)
    : options_(options),
      end_(metrics.Gauge("crosskey_certificate_expiry_seconds",
                         "The end of the certificate that is in use, in seconds since 1970.",
                         {{"listener", options.listener}})),
      files_(metrics) {}

TlsFiles::~TlsFiles() = default;

void TlsFiles::Look(absl::Time now) {
  now_ = now;
  files_.Look();
}

absl::Status TlsFiles::CheckAndTake(const std::vector<std::string>& contents) {
  const TlsTexts texts = {contents[0], contents[1], has_ca() ? contents[2] : ""};
  CROSSKEY_ASSIGN_OR_RETURN(const TlsMaterial material, CheckTls(options_.paths, texts, options_.use, now_));
  CROSSKEY_RETURN_IF_ERROR(Take(material));
  {
    std::lock_guard lock(mutex_);
    pem_ = std::make_shared<const std::string>(material.pair);
  }
  end_.Set(absl::ToDoubleSeconds(material.end - absl::UnixEpoch()));
  return absl::OkStatus();
}

absl::Status TlsFiles::Take(const TlsMaterial& material) {
  if (pair_ != nullptr) {
    CROSSKEY_RETURN_IF_ERROR(pair_->Replace(material.pair));
    return ca_ == nullptr ? absl::OkStatus() : ca_->Replace(material.ca);
  }
  pair_ = std::make_unique<MemoryFile>(material.pair);
  if (!pair_->ok()) return NoRoom();
  if (!has_ca()) return absl::OkStatus();
  ca_ = std::make_unique<MemoryFile>(material.ca);
  return ca_->ok() ? absl::OkStatus() : NoRoom();
}

telemetry::PemPair TlsFiles::pair() const {
  std::lock_guard lock(mutex_);
  return pem_;
}

std::shared_ptr<grpc::ServerCredentials> TlsFiles::ForServer(ClientCertificates clients) const {
  grpc::experimental::TlsServerCredentialsOptions tls(provider_);
  tls.watch_identity_key_cert_pairs();
  if (clients != ClientCertificates::kNone) {
    tls.watch_root_certs();
    tls.set_cert_request_type(clients == ClientCertificates::kRequired
                                  ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                  : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(tls);
}

std::shared_ptr<grpc::ChannelCredentials> TlsFiles::ForChannel(const std::vector<std::string>& identities) const {
  grpc::experimental::TlsChannelCredentialsOptions tls;
  tls.set_certificate_provider(provider_);
  tls.watch_identity_key_cert_pairs();
  tls.watch_root_certs();
  tls.set_certificate_verifier(ExternalCertificateVerifier::Create<IsOneOf>(identities));
  tls.set_check_call_host(false);
  return grpc::experimental::TlsCredentials(tls);
}

std::shared_ptr<grpc::ChannelCredentials> AnyServer() {
  grpc::experimental::TlsChannelCredentialsOptions tls;
  tls.set_verify_server_certs(false);
  tls.set_certificate_verifier(ExternalCertificateVerifier::Create<Anybody>());
  tls.set_check_call_host(false);
  return grpc::experimental::TlsCredentials(tls);
}

}  // namespace crosskey::rpc
