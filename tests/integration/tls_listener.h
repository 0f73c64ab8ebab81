// A listener with TLS, and clients of it with certificates of all kinds.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/rpc/caller_of.h"
#include "common/rpc/calls.h"
#include "common/rpc/channel.h"
#include "common/rpc/gates.h"
#include "common/rpc/listener.h"
#include "common/rpc/tls_files.h"
#include "common/status/limits.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "post/v1/post_service.grpc.pb.h"
#include "tests/support/certificates.h"
#include "tests/support/free_port.h"
#include "tests/support/metric_of.h"
#include "tests/support/raw_http2.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {

using post::v1::PostService;
using rpc::ClientCertificates;
using rpc::TlsFiles;

inline constexpr char kUsers[] = "spiffe://crosskey/user";
inline constexpr char kPosts[] = "spiffe://crosskey/post";
// What the clients of these tests look for in the server's certificate, unless they are the channel to the peer.
inline constexpr char kHost[] = "server.test";

// What a caller has presented.
struct Presented {
  bool has_certificate = false;
  rpc::CertificateNames names;
  int authorizations = 0;
  std::string authorization;
  std::string address;
};

// GetPost tells what its caller presents. ListPosts goes the way of an internal call.
class TlsService final : public PostService::CallbackService {
 public:
  TlsService(bool tls, telemetry::Metrics& metrics, std::optional<std::vector<std::string>> peers = std::nullopt)
      : tls_(tls),
        gate_(peers.has_value() ? std::make_unique<rpc::PeerGate>(*std::move(peers)) : nullptr),
        workers_(rpc::CallLines::Threads(4), metrics),
        lines_(workers_),
        admission_(std::make_shared<rpc::Admission>(rpc::Admission::Options{16, nullptr, nullptr, gate_.get()})),
        calls_("post.v1.PostService", admission_, lines_, metrics) {
    calls_.TakeFromAnybody("ListPosts");
    admission_->Open();
  }
  ~TlsService() override { workers_.Stop(); }

  grpc::ServerUnaryReactor* GetPost(grpc::CallbackServerContext* context, const post::v1::GetPostRequest*,
                                    post::v1::GetPostResponse*) override {
    {
      std::lock_guard lock(mutex_);
      const access::Presented presented = rpc::PresentedBy(*context, tls_);
      presented_ = {presented.has_certificate,
                    {presented.uris, presented.dns},
                    presented.authorizations,
                    std::string(presented.authorization.value_or("")),
                    rpc::AddressOf(*context)};
    }
    auto* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::ServerUnaryReactor* ListPosts(grpc::CallbackServerContext* context, const post::v1::ListPostsRequest* request,
                                      post::v1::ListPostsResponse*) override {
    return calls_.Unary(*context, "ListPosts", rpc::Waits::kReads, *request,
                        [](const Call&) { return absl::OkStatus(); });
  }

  Presented presented() {
    std::lock_guard lock(mutex_);
    return presented_;
  }

 private:
  const bool tls_;
  const std::unique_ptr<rpc::Gate> gate_;
  batch::Workers workers_;
  rpc::CallLines lines_;
  const std::shared_ptr<rpc::Admission> admission_;
  rpc::Calls calls_;
  std::mutex mutex_;
  Presented presented_;
};

class TlsTest : public ::testing::Test {
 protected:
  ~TlsTest() override {
    if (listener_ != nullptr) listener_->Shutdown(absl::Now() + absl::Seconds(1));
  }

  rpc::TlsPaths Write(const std::string& name, const KeyAndCertificate& pair, const std::string& ca = "") {
    return {folder_.Write(name + ".crt", pair.certificate), folder_.Write(name + ".key", pair.key),
            ca.empty() ? "" : folder_.Write(name + ".ca", ca)};
  }
  std::shared_ptr<TlsFiles> Load(const rpc::TlsPaths& paths, const std::string& listener = "internal") {
    const auto files = TlsFiles::Load({listener, "internal_tls", paths}, metrics_);
    EXPECT_THAT(files, IsOk());
    return files.ok() ? *files : nullptr;
  }
  // A listener that has a certificate of both names, and trusts `ca_`.
  void Start(ClientCertificates clients, std::optional<std::vector<std::string>> peers = std::nullopt) {
    Start(clients, Load(Write("server", ca_.Issue({{kUsers}, {kHost}}), ca_.certificate())), std::move(peers));
  }
  void Start(ClientCertificates clients, std::shared_ptr<TlsFiles> tls,
             std::optional<std::vector<std::string>> peers = std::nullopt, const std::string& address = "127.0.0.1:0") {
    service_ = std::make_unique<TlsService>(tls != nullptr, metrics_, std::move(peers));
    rpc::Listener::Options options{"internal", address, 1024, limits::kMebibyte};
    options.tls = std::move(tls);
    options.client_certificates = clients;
    auto listener = rpc::Listener::Start(options, {service_.get()}, metrics_);
    ASSERT_THAT(listener.status(), IsOk());
    listener_ = *std::move(listener);
  }

  // Calls on a connection of its own.
  grpc::Status Get(const std::shared_ptr<grpc::ChannelCredentials>& credentials, bool list = false,
                   const std::string& host = "127.0.0.1") {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetSslTargetNameOverride(kHost);
    return Get(grpc::CreateCustomChannel(absl::StrCat(host, ":", listener_->port()), credentials, arguments), list);
  }
  grpc::Status Get(const std::shared_ptr<grpc::Channel>& channel, bool list = false) {
    grpc::ClientContext context;
    for (const std::string& value : authorizations_) context.AddMetadata("authorization", value);
    context.set_deadline(absl::ToChronoTime(absl::Now() + Patience()));
    const auto stub = PostService::NewStub(channel);
    post::v1::GetPostResponse got;
    post::v1::ListPostsResponse listed;
    return list ? stub->ListPosts(&context, {}, &listed) : stub->GetPost(&context, {}, &got);
  }
  grpc::Status Health(const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride(kHost);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + Patience()));
    grpc::health::v1::HealthCheckResponse response;
    return grpc::health::v1::Health::NewStub(
               grpc::CreateCustomChannel(Loopback(listener_->port()), credentials, arguments))
        ->Check(&context, {}, &response);
  }
  grpc::StatusCode CodeOf(const KeyAndCertificate& pair) { return Get(With(pair)).error_code(); }
  std::shared_ptr<grpc::ChannelCredentials> With(const KeyAndCertificate& pair) {
    return grpc::SslCredentials({ca_.certificate(), pair.key, pair.certificate});
  }
  std::shared_ptr<grpc::Channel> Peer(const std::shared_ptr<TlsFiles>& files) {
    return rpc::Connect(Loopback(listener_->port()), {files, {kUsers}});
  }
  double Problem() { return MetricOf(metrics_, "crosskey_credentials_problem", {{"file", "internal_tls"}}); }
  double End() { return MetricOf(metrics_, "crosskey_certificate_expiry_seconds", {{"listener", "internal"}}); }

  const Authority ca_{"ca"};
  const Authority other_{"ca"};
  const Folder folder_;
  const KeyAndCertificate none_;
  const KeyAndCertificate right_ = ca_.Issue({{kPosts}});
  const KeyAndCertificate of_other_ = other_.Issue({{kPosts}});
  const KeyAndCertificate expired_ =
      ca_.Issue({{kPosts}, {}, absl::Now() - absl::Hours(2), absl::Now() - absl::Hours(1)});
  const KeyAndCertificate early_ =
      ca_.Issue({{kPosts}, {}, absl::Now() + absl::Hours(1), absl::Now() + absl::Hours(2)});
  std::vector<std::string> authorizations_;
  telemetry::Metrics metrics_{"test", "0"};
  std::unique_ptr<TlsService> service_;
  std::unique_ptr<rpc::Listener> listener_;
};

inline constexpr auto kOk = grpc::StatusCode::OK;
inline constexpr auto kUnavailable = grpc::StatusCode::UNAVAILABLE;

// The certificate that a server that was given `certificate` shows to new connections.
inline ::testing::AssertionResult Shows(int port, const std::string& certificate) {
  std::string seen;
  return WaitFor([&] { return (seen = HandshakeWith(port).certificate) == certificate; })
             ? ::testing::AssertionSuccess()
             : ::testing::AssertionFailure() << "it shows " << seen;
}

}  // namespace crosskey::testing
