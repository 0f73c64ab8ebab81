// TLS of listeners and of the channel to the peer: who gets through, who is who, and how files are replaced.
#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/client_unary_call.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/acceptor.h"
#include "common/rpc/caller_of.h"
#include "common/rpc/calls.h"
#include "common/rpc/channel.h"
#include "common/rpc/gates.h"
#include "common/rpc/listener.h"
#include "common/rpc/tls_check.h"
#include "common/rpc/tls_files.h"
#include "common/server/front.h"
#include "common/status/limits.h"
#include "common/telemetry/log.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "post/v1/post_service.grpc.pb.h"
#include "tests/support/certificates.h"
#include "tests/support/free_port.h"
#include "tests/support/metric_of.h"
#include "tests/support/raw_http2.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using post::v1::PostService;
using rpc::ClientCertificates;
using rpc::TlsFiles;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr char kUsers[] = "spiffe://crosskey/user";
constexpr char kPosts[] = "spiffe://crosskey/post";
// What the clients of these tests look for in the server's certificate, unless they are the channel to the peer.
constexpr char kHost[] = "server.test";

// What a caller has presented.
struct Presented {
  bool has_certificate = false;
  rpc::CertificateNames names;
  int authorizations = 0;
  std::string authorization;
  std::string address;
};

// GetPost tells what its caller presents. ListPosts goes the way of an internal call.
class Service final : public PostService::CallbackService {
 public:
  Service(bool tls, telemetry::Metrics& metrics, std::optional<std::vector<std::string>> peers = std::nullopt)
      : tls_(tls),
        gate_(peers.has_value() ? std::make_unique<rpc::PeerGate>(*std::move(peers)) : nullptr),
        workers_(rpc::CallLines::Threads(4), metrics),
        lines_(workers_),
        admission_(std::make_shared<rpc::Admission>(rpc::Admission::Options{16, nullptr, nullptr, gate_.get()})),
        calls_("post.v1.PostService", admission_, lines_, metrics) {
    calls_.TakeFromAnybody("ListPosts");
    admission_->Open();
  }
  ~Service() override { workers_.Stop(); }

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
    service_ = std::make_unique<Service>(tls != nullptr, metrics_, std::move(peers));
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
  std::unique_ptr<Service> service_;
  std::unique_ptr<rpc::Listener> listener_;
};

constexpr auto kOk = grpc::StatusCode::OK;
constexpr auto kUnavailable = grpc::StatusCode::UNAVAILABLE;

TEST_F(TlsTest, WithoutClientCertificatesNobodyIsAskedForOne) {
  Start(ClientCertificates::kNone);
  EXPECT_EQ(CodeOf(none_), kOk);
  EXPECT_EQ(CodeOf(of_other_), kOk);
  EXPECT_EQ(CodeOf(right_), kOk);
  EXPECT_FALSE(service_->presented().has_certificate);
}

TEST_F(TlsTest, AnOptionalCertificateIsVerified) {
  Start(ClientCertificates::kOptional);
  EXPECT_EQ(CodeOf(none_), kOk);
  EXPECT_FALSE(service_->presented().has_certificate);
  EXPECT_EQ(CodeOf(right_), kOk);
  EXPECT_TRUE(service_->presented().has_certificate);
  EXPECT_EQ(CodeOf(of_other_), kUnavailable);
  EXPECT_EQ(CodeOf(expired_), kUnavailable);
  EXPECT_EQ(CodeOf(early_), kUnavailable);
}

TEST_F(TlsTest, ARequiredCertificateIsVerified) {
  Start(ClientCertificates::kRequired);
  EXPECT_EQ(CodeOf(none_), kUnavailable);
  EXPECT_EQ(CodeOf(right_), kOk);
  EXPECT_EQ(CodeOf(of_other_), kUnavailable);
  EXPECT_EQ(CodeOf(expired_), kUnavailable);
  EXPECT_EQ(CodeOf(early_), kUnavailable);
}

TEST_F(TlsTest, TheNamesOfACertificateAreThoseThatItHas) {
  Start(ClientCertificates::kOptional);
  const auto names = [&](const Leaf& leaf) {
    EXPECT_EQ(CodeOf(ca_.Issue(leaf)), kOk);
    EXPECT_TRUE(service_->presented().has_certificate);
    return service_->presented().names;
  };
  EXPECT_THAT(names({{kPosts}}).uris, ElementsAre(kPosts));
  EXPECT_THAT(names({{kPosts}}).dns, IsEmpty());
  EXPECT_THAT(names({{kPosts, kUsers}}).uris, ElementsAre(kPosts, kUsers));
  EXPECT_THAT(names({{}, {"a.test", "b.test"}}).dns, ElementsAre("a.test", "b.test"));
  EXPECT_THAT(names({{kPosts}, {"a.test"}}).dns, ElementsAre("a.test"));
  EXPECT_THAT(names({{kPosts}, {"a.test"}}).uris, ElementsAre(kPosts));
  EXPECT_THAT(names({}).uris, IsEmpty());
}

TEST(IdentityTest, IsTheOnlyUriOrWithoutAnyTheOnlyDnsName) {
  using rpc::IdentityOf;
  EXPECT_EQ(IdentityOf({{"u:a"}, {}}), "u:a");
  EXPECT_EQ(IdentityOf({{"u:a"}, {"b", "c"}}), "u:a");
  EXPECT_EQ(IdentityOf({{}, {"b"}}), "b");
  EXPECT_EQ(IdentityOf({{"u:a", "u:b"}, {"c"}}), std::nullopt);
  EXPECT_EQ(IdentityOf({{}, {"b", "c"}}), std::nullopt);
  EXPECT_EQ(IdentityOf({}), std::nullopt);
}

TEST_F(TlsTest, TheCallerIsKnownByItsHeadersAndItsAddressToo) {
  Start(ClientCertificates::kOptional);
  EXPECT_EQ(CodeOf(right_), kOk);
  EXPECT_EQ(service_->presented().authorizations, 0);
  EXPECT_EQ(service_->presented().authorization, "");
  authorizations_ = {"Bearer one"};
  EXPECT_EQ(CodeOf(right_), kOk);
  EXPECT_EQ(service_->presented().authorizations, 1);
  EXPECT_EQ(service_->presented().authorization, "Bearer one");
  authorizations_ = {"Bearer one", "Bearer two"};
  EXPECT_EQ(CodeOf(right_), kOk);
  EXPECT_EQ(service_->presented().authorizations, 2);
  EXPECT_THAT(service_->presented().address, ::testing::MatchesRegex("127\\.0\\.0\\.1:[0-9]+"));
}

TEST_F(TlsTest, WithoutTlsTheCallerHasAHeaderAndAnAddress) {
  Start(ClientCertificates::kNone, nullptr);
  authorizations_ = {"Bearer one"};
  EXPECT_THAT(Get(grpc::InsecureChannelCredentials()), GrpcOk());
  EXPECT_FALSE(service_->presented().has_certificate);
  EXPECT_EQ(service_->presented().authorization, "Bearer one");
  EXPECT_THAT(service_->presented().address, ::testing::MatchesRegex("127\\.0\\.0\\.1:[0-9]+"));
}

TEST_F(TlsTest, AnAddressOfIpv6IsWrittenAsUsual) {
  if (!std::filesystem::exists("/proc/net/if_inet6") ||
      !rpc::Acceptor::Listen("[::1]:0", 1024, metrics_.Counter("no", "")).ok()) {
    GTEST_SKIP() << "no IPv6";
  }
  Start(ClientCertificates::kNone, nullptr, std::nullopt, "[::1]:0");
  EXPECT_THAT(Get(grpc::InsecureChannelCredentials(), false, "[::1]"), GrpcOk());
  EXPECT_THAT(service_->presented().address, ::testing::MatchesRegex("\\[::1\\]:[0-9]+"));
}

TEST_F(TlsTest, OnlyAPeerMayMakeInternalCalls) {
  Start(ClientCertificates::kRequired, std::vector<std::string>{kPosts, "post.test"});
  const auto list = [&](const Leaf& leaf) { return Get(With(ca_.Issue(leaf)), true); };
  EXPECT_THAT(list({{kPosts}}), GrpcOk());
  EXPECT_THAT(list({{kPosts}, {"a.test", "b.test"}}), GrpcOk());
  EXPECT_THAT(list({{}, {"post.test"}}), GrpcOk());
  for (const Leaf& stranger : std::vector<Leaf>{{{"spiffe://crosskey/web"}},
                                                {{kPosts, kUsers}},
                                                {{"spiffe://crosskey/web"}, {"post.test"}},
                                                {{}, {"post.test", "b.test"}},
                                                {{std::string(kPosts) + "/more"}},
                                                {}}) {
    const grpc::Status status = list(stranger);
    EXPECT_THAT(status, GrpcError(grpc::StatusCode::PERMISSION_DENIED, "PERMISSION_DENIED"));
    const auto info = DetailOf<google::rpc::ErrorInfo>(status);
    ASSERT_TRUE(info.has_value());
    EXPECT_EQ(info->metadata().at("why"), "peer");
    EXPECT_THAT(Health(With(ca_.Issue(stranger))), GrpcOk());
  }
  EXPECT_EQ(MetricOf(metrics_, "grpc_server_handled_total", {{"grpc_code", "PermissionDenied"}}), 6);
}

// A C string would end at the zero byte, and the name would be the peer's.
TEST_F(TlsTest, ANameWithAZeroByteIsNotThePeers) {
  const std::string name = std::string(kPosts) + '\0' + "/web";
  Start(ClientCertificates::kRequired, std::vector<std::string>{kPosts});
  EXPECT_FALSE(Get(With(ca_.Issue({{name}})), true).ok());
  EXPECT_THAT(rpc::NamesIn(ca_.Issue({{name}}).certificate).uris, ElementsAre(name));

  const auto peer = Load(Write("peer", right_, ca_.certificate()), "peer");
  listener_->Shutdown(absl::Now());
  Start(ClientCertificates::kNone, Load(Write("server", ca_.Issue({{std::string(kUsers) + '\0' + "/web"}}))));
  EXPECT_EQ(Get(Peer(peer)).error_code(), kUnavailable);
}

TEST_F(TlsTest, ListOfNoPeersTakesNobody) {
  Start(ClientCertificates::kRequired, std::vector<std::string>{});
  EXPECT_THAT(Get(With(right_), true), GrpcError(grpc::StatusCode::PERMISSION_DENIED, "PERMISSION_DENIED"));
}

TEST_F(TlsTest, VersionsBefore12AreRefused) {
  Start(ClientCertificates::kNone);
  EXPECT_FALSE(HandshakeWith(listener_->port(), TLS1_VERSION).done);
  EXPECT_FALSE(HandshakeWith(listener_->port(), TLS1_1_VERSION).done);
  EXPECT_EQ(HandshakeWith(listener_->port(), TLS1_2_VERSION).version, TLS1_2_VERSION);
  EXPECT_TRUE(HandshakeWith(listener_->port(), TLS1_2_VERSION).done);
  EXPECT_EQ(HandshakeWith(listener_->port()).version, TLS1_3_VERSION);
}

TEST_F(TlsTest, WithoutTlsNobodyGetsThroughAndOthersAreServedOn) {
  Start(ClientCertificates::kNone);
  EXPECT_EQ(Get(grpc::InsecureChannelCredentials()).error_code(), kUnavailable);
  const RawConnection silent(listener_->port());
  const RawConnection plain(listener_->port(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  EXPECT_TRUE(WaitFor([&] { return plain.HasEnded(); }));
  EXPECT_EQ(CodeOf(none_), kOk);
}

TEST_F(TlsTest, TlsToAListenerWithoutItFails) {
  Start(ClientCertificates::kNone, nullptr);
  EXPECT_EQ(CodeOf(none_), kUnavailable);
  EXPECT_THAT(Get(grpc::InsecureChannelCredentials()), GrpcOk());
}

TEST_F(TlsTest, TheChannelTakesThePeerAloneWhateverItsAddress) {
  const auto peer = Load(Write("peer", right_, ca_.certificate()), "peer");
  const auto code = [&](const KeyAndCertificate& server) {
    if (listener_ != nullptr) listener_->Shutdown(absl::Now());
    Start(ClientCertificates::kRequired, Load(Write("server", server, ca_.certificate())),
          std::vector<std::string>{kPosts});
    return Get(Peer(peer), true).error_code();
  };
  EXPECT_EQ(code(ca_.Issue({{kUsers}})), kOk);
  EXPECT_EQ(code(ca_.Issue({{kUsers}, {"a.test", "b.test"}})), kOk);
  EXPECT_EQ(code(ca_.Issue({{"spiffe://crosskey/web"}})), kUnavailable);
  EXPECT_EQ(code(ca_.Issue({{kUsers, "spiffe://crosskey/web"}})), kUnavailable);
  EXPECT_EQ(code(ca_.Issue({{}, {"localhost", "127.0.0.1"}})), kUnavailable);
  EXPECT_EQ(code(ca_.Issue({})), kUnavailable);
  EXPECT_EQ(code(other_.Issue({{kUsers}})), kUnavailable);
}

// The certificate that a server that was given `certificate` shows to new connections.
::testing::AssertionResult Shows(int port, const std::string& certificate) {
  std::string seen;
  return WaitFor([&] { return (seen = HandshakeWith(port).certificate) == certificate; })
             ? ::testing::AssertionSuccess()
             : ::testing::AssertionFailure() << "it shows " << seen;
}

// Calls on an open channel and on new ones, all the time, until told to stop.
class Caller {
 public:
  using Attempt = std::function<grpc::Status()>;
  explicit Caller(std::vector<Attempt> attempts)
      : attempts_(std::move(attempts)), thread_([this] {
          while (!stop_) {
            for (const Attempt& attempt : attempts_) {
              const grpc::Status status = attempt();
              ++calls_;
              if (!status.ok()) ADD_FAILURE() << "call " << calls_ << ": " << status.error_message();
            }
          }
        }) {}
  ~Caller() {
    stop_ = true;
    thread_.join();
  }
  // Whether some more calls have been made.
  bool GoesOn() {
    const int64_t before = calls_;
    return WaitFor([&] { return calls_ > before + 2 * static_cast<int64_t>(attempts_.size()); });
  }

 private:
  const std::vector<Attempt> attempts_;
  std::atomic<int64_t> calls_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

// Another server, to see what the peer's channel has taken: its certificate is of `authority`, which it trusts.
struct Probe {
  Probe(const Authority& authority, ClientCertificates clients, const Folder& folder, telemetry::Metrics& metrics)
      : service(true, metrics) {
    const KeyAndCertificate pair = authority.Issue({{kUsers}});
    const rpc::TlsPaths paths{folder.Write("probe.crt", pair.certificate), folder.Write("probe.key", pair.key),
                              folder.Write("probe.ca", authority.certificate())};
    rpc::Listener::Options options{"probe", "127.0.0.1:0", 1024, limits::kMebibyte};
    options.tls = *TlsFiles::Load({"probe", "probe", paths}, metrics);
    options.client_certificates = clients;
    listener = *rpc::Listener::Start(options, {&service}, metrics);
  }
  ~Probe() { listener->Shutdown(absl::Now()); }

  Service service;
  std::unique_ptr<rpc::Listener> listener;
};

TEST_F(TlsTest, LeafKeyAndAuthorityAreReplacedWithoutAFailedCall) {
  const auto server = Load(Write("server", ca_.Issue({{kUsers}}), ca_.certificate()));
  const auto peer = Load(Write("peer", ca_.Issue({{kPosts}}), ca_.certificate()), "peer");
  Start(ClientCertificates::kRequired, server, std::vector<std::string>{kPosts});
  const auto open = Peer(peer);
  const auto look = [&] {
    server->Look(absl::Now());
    peer->Look(absl::Now());
  };
  // Whether the server takes clients of this authority, and whether the peer's channel gets through to a server of it.
  const auto accepts = [&](const Authority& authority) {
    const KeyAndCertificate client = authority.Issue({{kPosts}});
    return Get(grpc::SslCredentials({ca_.certificate() + other_.certificate(), client.key, client.certificate}), true)
        .ok();
  };
  const Probe trusts(other_, ClientCertificates::kNone, folder_, metrics_);
  const Probe presents(other_, ClientCertificates::kRequired, folder_, metrics_);
  const auto gets_to = [&](const Probe& probe) {
    return Get(rpc::Connect(Loopback(probe.listener->port()), {peer, {kUsers}})).ok();
  };
  const std::string both = ca_.certificate() + other_.certificate();
  {
    Caller caller({[&] { return Get(open, true); }, [&] { return Get(Peer(peer), true); }});
    ASSERT_TRUE(caller.GoesOn());
    // A new key and a new leaf, of both sides.
    KeyAndCertificate next = ca_.Issue({{kUsers}, {kHost}});
    Write("server", next, ca_.certificate());
    Write("peer", ca_.Issue({{kPosts}}), ca_.certificate());
    look();
    EXPECT_TRUE(Shows(listener_->port(), next.certificate));
    EXPECT_TRUE(caller.GoesOn());
    // Both authorities are trusted first,
    EXPECT_FALSE(accepts(other_));
    EXPECT_FALSE(gets_to(trusts));
    folder_.Write("server.ca", both);
    folder_.Write("peer.ca", both);
    look();
    EXPECT_TRUE(WaitFor([&] { return accepts(other_); }));
    EXPECT_TRUE(WaitFor([&] { return gets_to(trusts); }));
    EXPECT_TRUE(caller.GoesOn());
    // then leaves are of the new one,
    EXPECT_FALSE(gets_to(presents));
    next = other_.Issue({{kUsers}, {kHost}});
    Write("server", next, both);
    Write("peer", other_.Issue({{kPosts}}), both);
    look();
    EXPECT_TRUE(Shows(listener_->port(), next.certificate));
    EXPECT_TRUE(WaitFor([&] { return gets_to(presents); }));
    EXPECT_TRUE(caller.GoesOn());
    // then the old one is not trusted any more.
    EXPECT_TRUE(accepts(ca_));
    folder_.Write("server.ca", other_.certificate());
    folder_.Write("peer.ca", other_.certificate());
    look();
    EXPECT_TRUE(WaitFor([&] { return !accepts(ca_); }));
    EXPECT_TRUE(caller.GoesOn());
  }
  EXPECT_TRUE(accepts(other_));
  EXPECT_EQ(Problem(), 0);
}

TEST_F(TlsTest, WhatIsBrokenIsNotTakenAndWhatIsGoodAgainIs) {
  const KeyAndCertificate first = ca_.Issue({{kUsers}, {kHost}});
  const auto files = Load(Write("server", first, ca_.certificate()));
  Start(ClientCertificates::kOptional, files);
  const double end = End();
  EXPECT_NEAR(end, absl::ToDoubleSeconds(absl::Now() + absl::Hours(24) - absl::UnixEpoch()), 600);
  const KeyAndCertificate next =
      ca_.Issue({{kUsers}, {kHost}, absl::Now() - absl::Hours(1), absl::Now() + absl::Hours(48)});
  const std::vector<std::function<void()>> breaks = {
      [&] {
        Write("server", {first.key, next.certificate});
      },
      [&] { folder_.Write("server.crt", next.certificate.substr(0, next.certificate.size() / 2)); },
      [&] { Write("server", expired_); },
      [&] { std::filesystem::remove(folder_.Path("server.key")); },
      [&] { folder_.Write("server.ca", "nothing"); },
  };
  for (size_t i = 0; i < breaks.size(); ++i) {
    breaks[i]();
    files->Look(absl::Now());
    EXPECT_EQ(Problem(), 1) << i;
    EXPECT_NEAR(End(), end, 600) << i;
    files->Look(absl::Now());
    EXPECT_EQ(Problem(), 1) << i;
    // gRPC has looked once the next good pair is there.
    const KeyAndCertificate good = ca_.Issue({{kUsers}, {kHost}});
    EXPECT_EQ(CodeOf(right_), kOk) << i;
    Write("server", good, ca_.certificate());
    files->Look(absl::Now());
    EXPECT_EQ(Problem(), 0) << i;
    EXPECT_TRUE(Shows(listener_->port(), good.certificate)) << i;
  }
  Write("server", next, ca_.certificate());
  files->Look(absl::Now());
  EXPECT_NEAR(End() - end, 24 * 3600, 600);
}

// The files are links to a folder that is switched, as Kubernetes does it.
TEST_F(TlsTest, LinksThatAreSwitchedAreNoticed) {
  namespace fs = std::filesystem;
  const auto fill = [&](const std::string& name, const KeyAndCertificate& pair) {
    fs::create_directory(folder_.Path(name));
    folder_.Write(name + "/tls.crt", pair.certificate);
    folder_.Write(name + "/tls.key", pair.key);
    fs::create_directory_symlink(name, folder_.Path("next"));
    fs::rename(folder_.Path("next"), folder_.Path("data"));
  };
  fill("1", ca_.Issue({{kUsers}}));
  fs::create_symlink("data/tls.crt", folder_.Path("tls.crt"));
  fs::create_symlink("data/tls.key", folder_.Path("tls.key"));
  const auto files = Load({folder_.Path("tls.crt"), folder_.Path("tls.key"), ""});
  const double end = End();
  fill("2", ca_.Issue({{kUsers}, {}, absl::Now(), absl::Now() + absl::Hours(48)}));
  files->Look(absl::Now());
  EXPECT_GT(End(), end);
}

TEST_F(TlsTest, ACertificateThatBeginsLaterIsTakenThen) {
  const auto files = Load(Write("server", ca_.Issue({{kUsers}})));
  const double end = End();
  Write("server", ca_.Issue({{kUsers}, {}, absl::Now() + absl::Hours(1), absl::Now() + absl::Hours(48)}));
  files->Look(absl::Now());
  EXPECT_EQ(Problem(), 1);
  EXPECT_EQ(End(), end);
  files->Look(absl::Now() + absl::Hours(2));
  EXPECT_EQ(Problem(), 0);
  EXPECT_GT(End(), end);
}

TEST_F(TlsTest, EachProblemIsToldOnceAndNoSecretWithIt) {
  const auto files = Load(Write("server", right_));
  log::Setup(log::Level::kWarning, log::Format::kText, "test");
  ::testing::internal::CaptureStderr();
  Write("server", {of_other_.key, right_.certificate});
  for (int i = 0; i < 3; ++i) files->Look(absl::Now());
  Write("server", expired_);
  for (int i = 0; i < 3; ++i) files->Look(absl::Now());
  const std::string text = ::testing::internal::GetCapturedStderr();
  log::Setup(log::Level::kError, log::Format::kText, "test");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
  EXPECT_THAT(text, HasSubstr(folder_.Path("server.key: is not the key of the first certificate of")));
  EXPECT_THAT(text, HasSubstr(folder_.Path("server.crt: the certificate has expired at ")));
  EXPECT_THAT(text, Not(HasSubstr("BEGIN")));
  EXPECT_THAT(text, Not(HasSubstr(of_other_.key.substr(40, 20))));
}

TEST_F(TlsTest, AFileThatIsOfNoUseIsRefusedAtTheStartWithItsNameAndTheReason) {
  const auto why = [&](const rpc::TlsPaths& paths, rpc::TlsUse use = rpc::TlsUse::kServer) {
    const auto files = TlsFiles::Load({"public", "tls", paths, use}, metrics_);
    EXPECT_EQ(files.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(files.status().message());
  };
  const std::string crt = folder_.Path("a.crt"), key = folder_.Path("a.key"), ca = folder_.Path("a.ca");
  const auto& good = right_;
  EXPECT_EQ(why({folder_.Path("none"), key, ""}), folder_.Path("none: cannot be read: No such file or directory"));
  EXPECT_EQ(why(Write("a", {good.key, ""})), crt + ": is empty");
  EXPECT_EQ(why(Write("a", {"", good.certificate})), key + ": is empty");
  EXPECT_EQ(why(Write("a", {good.key, "nothing"})), crt + ": has no certificate");
  EXPECT_EQ(why(Write("a", {"nothing", good.certificate})), key + ": has no private key that can be read");
  EXPECT_EQ(why(Write("a", {good.certificate, good.certificate})), key + ": has no private key that can be read");
  EXPECT_EQ(why(Write("a", {good.key.substr(0, 100), good.certificate})),
            key + ": has no private key that can be read");
  const std::string half = good.certificate.substr(0, good.certificate.size() / 2);
  EXPECT_THAT(why(Write("a", {good.key, half})), StartsWith(crt + ": certificate 1 cannot be read: "));
  EXPECT_THAT(why(Write("a", {good.key, good.certificate + half})),
              StartsWith(crt + ": certificate 2 cannot be read: "));
  EXPECT_EQ(why(Write("a", ca_.IssueEncrypted({{kPosts}}))), key + ": the private key is encrypted");
  EXPECT_EQ(why(Write("a", {of_other_.key, good.certificate})),
            key + ": is not the key of the first certificate of " + crt);
  EXPECT_EQ(why(Write("a", {good.key, ca_.certificate() + good.certificate})),
            key + ": is not the key of the first certificate of " + crt);
  EXPECT_THAT(why(Write("a", expired_)), StartsWith(crt + ": the certificate has expired at 20"));
  EXPECT_THAT(why(Write("a", early_)), StartsWith(crt + ": the certificate is not valid before 20"));
  EXPECT_THAT(why(Write("a", ca_.IssueWeak({{kPosts}}))), StartsWith(crt + ": TLS does not take the certificate: "));
  Leaf for_servers{{kPosts}};
  for_servers.for_clients = false;
  EXPECT_EQ(why(Write("a", ca_.Issue(for_servers)), rpc::TlsUse::kServerAndClient),
            crt + ": the certificate may not be used by a client (its extended key usage)");
  EXPECT_THAT(TlsFiles::Load({"public", "tls", Write("a", ca_.Issue(for_servers))}, metrics_), IsOk());
  EXPECT_EQ(why(Write("a", good, "nothing")), ca + ": has no certificate");
  EXPECT_THAT(why(Write("a", good, ca_.certificate() + half)), StartsWith(ca + ": certificate 2 cannot be read: "));
  EXPECT_EQ(why(Write("a", {good.key, std::string(limits::kTlsFileBytes + 1, 'x')})),
            absl::StrCat(crt, ": has more than ", limits::kTlsFileBytes, " bytes"));
}

TEST_F(TlsTest, AListenerHearsWhetherItAnswers) {
  Start(ClientCertificates::kRequired);
  EXPECT_TRUE(listener_->Answers(absl::Seconds(60)));
  ShutDownListeningSockets(listener_->port());
  EXPECT_FALSE(listener_->Answers(absl::Milliseconds(50)));
}

TEST_F(TlsTest, ASocketThatNobodyServesDoesNotAnswer) {
  const auto acceptor = rpc::Acceptor::Listen("127.0.0.1:0", 1024, metrics_.Counter("refused", ""));
  ASSERT_THAT(acceptor.status(), IsOk());
  EXPECT_FALSE((*acceptor)->Answers(absl::Milliseconds(50), true));
}

TEST_F(TlsTest, HealthIsToldToAnyClientThatSpeaksTls) {
  const auto files = Load(Write("server", ca_.Issue({{kUsers}}), ca_.certificate()));
  Start(ClientCertificates::kOptional, files);
  const std::string address = Loopback(listener_->port());
  const auto health = [&](bool tls) { return rpc::CheckHealth(address, "readiness", Patience(), tls); };
  EXPECT_EQ(health(true).code(), absl::StatusCode::kFailedPrecondition);
  listener_->SetServing(true);
  EXPECT_THAT(health(true), IsOk());
  EXPECT_EQ(health(false).code(), absl::StatusCode::kUnavailable);
  Write("server", expired_);
  files->Look(absl::Now());
  EXPECT_THAT(health(true), IsOk()) << "a service with broken files serves on";
}

class Everybody final : public Identity {
 public:
  Parties Outgoing() const override { return {}; }
  absl::Status MayCall(absl::Time) override { return absl::OkStatus(); }
  absl::Status MayTake(const Parties*) override { return absl::OkStatus(); }
};

TEST_F(TlsTest, TheFrontHasTlsOnBothListenersAndTakesNewCertificates) {
  server::Front::Options options;
  options.listen = options.internal_listen = "127.0.0.1:0";
  options.request_bytes = limits::kMebibyte;
  const KeyAndCertificate outer = ca_.Issue({{}, {kHost}}), inner = ca_.Issue({{kUsers}, {kHost}});
  options.tls = Load(Write("outer", outer, other_.certificate()), "public");
  options.internal_tls = Load(Write("inner", inner, ca_.certificate()));
  rpc::PeerGate gate({kPosts});
  options.internal_gate = &gate;
  Everybody everybody;
  server::Front front(options, everybody, nullptr, metrics_);
  Service outer_service(true, metrics_), inner_service(true, metrics_);
  ASSERT_THAT(front.Open({{"post.v1.PostService", &outer_service}}, {{"post.v1.PostService", &inner_service}}), IsOk());
  // Whether the call of a client reaches the server, which does not know the method.
  const auto code = [&](int port, const KeyAndCertificate& client, const std::string& method) {
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride(kHost);
    const auto channel = grpc::CreateCustomChannel(Loopback(port), With(client), arguments);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + Patience()));
    const grpc::internal::RpcMethod unary(method.c_str(), grpc::internal::RpcMethod::NORMAL_RPC);
    post::v1::GetPostRequest request;
    post::v1::GetPostResponse response;
    return grpc::internal::BlockingUnaryCallImpl<grpc::protobuf::MessageLite, grpc::protobuf::MessageLite>(
               channel.get(), unary, &context, request, &response)
        .status()
        .error_code();
  };
  const std::string unknown = "/some.Service/Method";
  constexpr auto kUnimplemented = grpc::StatusCode::UNIMPLEMENTED;
  EXPECT_EQ(code(front.port(), none_, unknown), kUnimplemented);
  EXPECT_EQ(code(front.port(), of_other_, unknown), kUnimplemented);
  EXPECT_EQ(code(front.port(), right_, unknown), kUnavailable);
  EXPECT_EQ(code(front.internal_port(), none_, unknown), kUnavailable);
  EXPECT_EQ(code(front.internal_port(), of_other_, unknown), kUnavailable);
  EXPECT_EQ(code(front.internal_port(), right_, unknown), kUnimplemented);
  const std::string reflection = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
  EXPECT_NE(code(front.port(), none_, reflection), kUnimplemented);
  EXPECT_EQ(code(front.internal_port(), right_, reflection), kUnimplemented);

  const KeyAndCertificate next_outer = ca_.Issue({{}, {kHost}}), next_inner = ca_.Issue({{kUsers}, {kHost}});
  Write("outer", next_outer, other_.certificate());
  Write("inner", next_inner, ca_.certificate());
  EXPECT_THAT(front.Watch(absl::Now()), IsOk());
  EXPECT_TRUE(Shows(front.port(), next_outer.certificate));
  EXPECT_TRUE(Shows(front.internal_port(), next_inner.certificate));
  front.Close();
}

}  // namespace
}  // namespace crosskey::testing
