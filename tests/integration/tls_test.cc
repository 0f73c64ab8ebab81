// TLS of listeners and of the channel to the peer: who gets through, and who is who.
#include <filesystem>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/integration/tls_listener.h"
#include "tests/support/raw_http2.h"

namespace crosskey::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class TlsConnectionTest : public TlsTest {};

TEST_F(TlsConnectionTest, WithoutClientCertificatesNobodyIsAskedForOne) {
  Start(ClientCertificates::kNone);
  EXPECT_EQ(CodeOf(none_), kOk);
  EXPECT_EQ(CodeOf(of_other_), kOk);
  EXPECT_EQ(CodeOf(right_), kOk);
  EXPECT_FALSE(service_->presented().has_certificate);
}

TEST_F(TlsConnectionTest, AnOptionalCertificateIsVerified) {
  Start(ClientCertificates::kOptional);
  EXPECT_EQ(CodeOf(none_), kOk);
  EXPECT_FALSE(service_->presented().has_certificate);
  EXPECT_EQ(CodeOf(right_), kOk);
  EXPECT_TRUE(service_->presented().has_certificate);
  EXPECT_EQ(CodeOf(of_other_), kUnavailable);
  EXPECT_EQ(CodeOf(expired_), kUnavailable);
  EXPECT_EQ(CodeOf(early_), kUnavailable);
}

TEST_F(TlsConnectionTest, ARequiredCertificateIsVerified) {
  Start(ClientCertificates::kRequired);
  EXPECT_EQ(CodeOf(none_), kUnavailable);
  EXPECT_EQ(CodeOf(right_), kOk);
  EXPECT_EQ(CodeOf(of_other_), kUnavailable);
  EXPECT_EQ(CodeOf(expired_), kUnavailable);
  EXPECT_EQ(CodeOf(early_), kUnavailable);
}

TEST_F(TlsConnectionTest, TheNamesOfACertificateAreThoseThatItHas) {
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

TEST_F(TlsConnectionTest, TheCallerIsKnownByItsHeadersAndItsAddressToo) {
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

TEST_F(TlsConnectionTest, WithoutTlsTheCallerHasAHeaderAndAnAddress) {
  Start(ClientCertificates::kNone, nullptr);
  authorizations_ = {"Bearer one"};
  EXPECT_THAT(Get(grpc::InsecureChannelCredentials()), GrpcOk());
  EXPECT_FALSE(service_->presented().has_certificate);
  EXPECT_EQ(service_->presented().authorization, "Bearer one");
  EXPECT_THAT(service_->presented().address, ::testing::MatchesRegex("127\\.0\\.0\\.1:[0-9]+"));
}

TEST_F(TlsConnectionTest, AnAddressOfIpv6IsWrittenAsUsual) {
  if (!std::filesystem::exists("/proc/net/if_inet6") ||
      !rpc::Acceptor::Listen("[::1]:0", 1024, metrics_.Counter("no", "")).ok()) {
    GTEST_SKIP() << "no IPv6";
  }
  Start(ClientCertificates::kNone, nullptr, std::nullopt, "[::1]:0");
  EXPECT_THAT(Get(grpc::InsecureChannelCredentials(), false, "[::1]"), GrpcOk());
  EXPECT_THAT(service_->presented().address, ::testing::MatchesRegex("\\[::1\\]:[0-9]+"));
}

TEST_F(TlsConnectionTest, OnlyAPeerMayMakeInternalCalls) {
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
TEST_F(TlsConnectionTest, ANameWithAZeroByteIsNotThePeers) {
  const std::string name = std::string(kPosts) + '\0' + "/web";
  Start(ClientCertificates::kRequired, std::vector<std::string>{kPosts});
  EXPECT_FALSE(Get(With(ca_.Issue({{name}})), true).ok());
  EXPECT_THAT(rpc::NamesIn(ca_.Issue({{name}}).certificate).uris, ElementsAre(name));

  const auto peer = Load(Write("peer", right_, ca_.certificate()), "peer");
  listener_->Shutdown(absl::Now());
  Start(ClientCertificates::kNone, Load(Write("server", ca_.Issue({{std::string(kUsers) + '\0' + "/web"}}))));
  EXPECT_EQ(Get(Peer(peer)).error_code(), kUnavailable);
}

TEST_F(TlsConnectionTest, ListOfNoPeersTakesNobody) {
  Start(ClientCertificates::kRequired, std::vector<std::string>{});
  EXPECT_THAT(Get(With(right_), true), GrpcError(grpc::StatusCode::PERMISSION_DENIED, "PERMISSION_DENIED"));
}

TEST_F(TlsConnectionTest, VersionsBefore12AreRefused) {
  Start(ClientCertificates::kNone);
  EXPECT_FALSE(HandshakeWith(listener_->port(), TLS1_VERSION).done);
  EXPECT_FALSE(HandshakeWith(listener_->port(), TLS1_1_VERSION).done);
  EXPECT_EQ(HandshakeWith(listener_->port(), TLS1_2_VERSION).version, TLS1_2_VERSION);
  EXPECT_TRUE(HandshakeWith(listener_->port(), TLS1_2_VERSION).done);
  EXPECT_EQ(HandshakeWith(listener_->port()).version, TLS1_3_VERSION);
}

TEST_F(TlsConnectionTest, WithoutTlsNobodyGetsThroughAndOthersAreServedOn) {
  Start(ClientCertificates::kNone);
  EXPECT_EQ(Get(grpc::InsecureChannelCredentials()).error_code(), kUnavailable);
  const RawConnection silent(listener_->port());
  const RawConnection plain(listener_->port(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  EXPECT_TRUE(WaitFor([&] { return plain.HasEnded(); }));
  EXPECT_EQ(CodeOf(none_), kOk);
}

TEST_F(TlsConnectionTest, TlsToAListenerWithoutItFails) {
  Start(ClientCertificates::kNone, nullptr);
  EXPECT_EQ(CodeOf(none_), kUnavailable);
  EXPECT_THAT(Get(grpc::InsecureChannelCredentials()), GrpcOk());
}

TEST_F(TlsConnectionTest, TheChannelTakesThePeerAloneWhateverItsAddress) {
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

}  // namespace
}  // namespace crosskey::testing
