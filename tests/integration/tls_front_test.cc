// TLS of a whole front: both listeners, health, and whether they hear.
#include <gmock/gmock.h>
#include <grpcpp/impl/client_unary_call.h>
#include <gtest/gtest.h>

#include "common/rpc/acceptor.h"
#include "common/server/front.h"
#include "tests/integration/tls_listener.h"
#include "tests/support/raw_http2.h"

namespace crosskey::testing {
namespace {

class TlsFrontTest : public TlsTest {};

TEST_F(TlsFrontTest, AListenerHearsWhetherItAnswers) {
  Start(ClientCertificates::kRequired);
  EXPECT_TRUE(listener_->Answers(absl::Seconds(60)));
  ShutDownListeningSockets(listener_->port());
  EXPECT_FALSE(listener_->Answers(absl::Milliseconds(50)));
}

TEST_F(TlsFrontTest, ASocketThatNobodyServesDoesNotAnswer) {
  const auto acceptor = rpc::Acceptor::Listen("127.0.0.1:0", 1024, metrics_.Counter("refused", ""));
  ASSERT_THAT(acceptor.status(), IsOk());
  EXPECT_FALSE((*acceptor)->Answers(absl::Milliseconds(50), true));
}

TEST_F(TlsFrontTest, HealthIsToldToAnyClientThatSpeaksTls) {
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

TEST_F(TlsFrontTest, TheFrontHasTlsOnBothListenersAndTakesNewCertificates) {
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
  TlsService outer_service(true, metrics_), inner_service(true, metrics_);
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
