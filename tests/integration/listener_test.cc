// What the clients of a listener can make it hold, and how it notices that nobody reaches it any more.
#include "common/rpc/listener.h"

#include <algorithm>
#include <memory>
#include <vector>

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "common/rpc/acceptor.h"
#include "common/status/limits.h"
#include "post/v1/post_service.grpc.pb.h"
#include "tests/support/free_port.h"
#include "tests/support/metric_of.h"
#include "tests/support/pair.h"
#include "tests/support/raw_http2.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

constexpr char kGetPost[] = "/post.v1.PostService/GetPost";
constexpr size_t kAnswerBytes = 3 * limits::kMebibyte;

// Answers each GetPost with a post that is as large as an answer gets.
class LargePosts : public post::v1::PostService::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetPost(grpc::CallbackServerContext* context, const post::v1::GetPostRequest*,
                                    post::v1::GetPostResponse* response) override {
    response->mutable_post()->set_content(std::string(kAnswerBytes, 'x'));
    auto* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

class ListenerTest : public ::testing::Test {
 protected:
  void Start(int most_descriptors = 1024) {
    rpc::Listener::Options options{"public", "127.0.0.1:0", most_descriptors, limits::kMebibyte};
    options.max_streams = 2000;
    auto listener = rpc::Listener::Start(options, {&service_}, metrics_);
    ASSERT_THAT(listener.status(), IsOk());
    listener_ = *std::move(listener);
  }
  ~ListenerTest() override {
    if (listener_ != nullptr) listener_->Shutdown(absl::Now() + absl::Seconds(1));
  }

  grpc::Status GetPost(grpc::ClientContext& context) {
    post::v1::GetPostResponse response;
    return post::v1::PostService::NewStub(channel())->GetPost(&context, {}, &response);
  }
  std::shared_ptr<grpc::Channel> channel() {
    if (channel_ == nullptr) {
      grpc::ChannelArguments arguments;
      arguments.SetMaxReceiveMessageSize(-1);
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      channel_ = grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", listener_->port()),
                                           grpc::InsecureChannelCredentials(), arguments);
    }
    return channel_;
  }
  double Ended() { return MetricOf(metrics_, "crosskey_unread_answers_total"); }
  double Refused() { return MetricOf(metrics_, "crosskey_connections_refused_total"); }

  LargePosts service_;
  telemetry::Metrics metrics_{"test", "0"};
  std::unique_ptr<rpc::Listener> listener_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(ListenerTest, EndsACallWhoseAnswerIsNotRead) {
  Start();
  const absl::Time before = absl::Now();
  RawHttp2 client(listener_->port(), 0);
  const uint32_t call = client.Call(kGetPost, "");
  ASSERT_TRUE(client.Await(call, RawHttp2::kHeaders)) << "the answer has begun";
  listener_->Sweep(before + limits::kUnreadFor);
  EXPECT_EQ(Ended(), 0);
  listener_->Sweep(absl::Now() + limits::kUnreadFor + absl::Seconds(1));
  EXPECT_TRUE(client.Await(call, RawHttp2::kResetStream));
  EXPECT_EQ(Ended(), 1);
  listener_->Sweep(absl::Now() + absl::Hours(1));
  EXPECT_EQ(Ended(), 1) << "it is gone";
}

// One client leaves 120 MiB unread. The oldest answers go, and another client is answered all the time.
TEST_F(ListenerTest, KeepsNoMoreUnreadAnswersThanItsBound) {
  Start();
  RawHttp2 client(listener_->port(), 0);
  constexpr int kCalls = 40;
  constexpr int kFit = limits::kUnreadMebibytes * limits::kMebibyte / kAnswerBytes;
  std::vector<uint32_t> calls;
  for (int i = 0; i < kCalls; ++i) {
    calls.push_back(client.Call(kGetPost, ""));
    ASSERT_TRUE(client.Await(calls.back(), RawHttp2::kHeaders));
    grpc::ClientContext context;
    EXPECT_THAT(GetPost(context), GrpcOk());
  }
  EXPECT_TRUE(client.Await(calls.front(), RawHttp2::kResetStream));
  EXPECT_GE(Ended(), kCalls - kFit);
  EXPECT_LE(Ended(), kCalls - kFit + 1);
  EXPECT_FALSE(client.Await(calls.back(), RawHttp2::kResetStream, absl::ZeroDuration()));
}

// Its answer lies in the client's window, and gRPC does not say of a stream that it has been sent.
TEST_F(ListenerTest, AWatchOfHealthMayStay) {
  Start();
  RawHttp2 client(listener_->port(), 65535);
  const uint32_t watch = client.Call("/grpc.health.v1.Health/Watch", "");
  ASSERT_TRUE(client.Await(watch, RawHttp2::kHeaders));
  listener_->Sweep(absl::Now() + limits::kUnreadFor + absl::Seconds(1));
  EXPECT_EQ(Ended(), 0);
  EXPECT_FALSE(client.Await(watch, RawHttp2::kResetStream, absl::ZeroDuration()));
  EXPECT_TRUE(WaitFor([&] {
    listener_->Sweep(absl::Now() + limits::kHealthWatch + absl::Seconds(1));
    return client.Await(watch, RawHttp2::kResetStream, absl::Milliseconds(50));
  })) << "but not for ever";
}

TEST_F(ListenerTest, TakesNoCompressedRequests) {
  Start();
  for (const auto algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    grpc::ClientContext context;
    context.set_compression_algorithm(algorithm);
    post::v1::GetPostRequest request;
    post::v1::CreatePostRequest large;
    large.set_content(std::string(100'000, 'x'));
    post::v1::CreatePostResponse response;
    EXPECT_EQ(post::v1::PostService::NewStub(channel())
                  ->CreatePost(&context, large, &response)
                  .error_message()
                  .find("Compression algorithm"),
              0u);
  }
  grpc::ClientContext context;
  EXPECT_THAT(GetPost(context), GrpcOk());
}

// No handler, and so none of our counters, ever sees these.
TEST_F(ListenerTest, CountsWhatTheLibraryRefuses) {
  Start();
  const auto not_handled = [this] {
    listener_->Sweep(absl::Now());
    return MetricOf(metrics_, "crosskey_calls_not_handled");
  };
  for (int i = 0; i < 3; ++i) {
    grpc::ClientContext context;
    EXPECT_THAT(GetPost(context), GrpcOk());
  }
  EXPECT_EQ(not_handled(), 0);
  post::v1::CreatePostRequest large;
  large.set_content(std::string(2 * limits::kMebibyte, 'x'));
  post::v1::CreatePostResponse response;
  for (int i = 0; i < 2; ++i) {
    grpc::ClientContext context;
    EXPECT_EQ(post::v1::PostService::NewStub(channel())->CreatePost(&context, large, &response).error_code(),
              grpc::StatusCode::RESOURCE_EXHAUSTED);
  }
  EXPECT_EQ(not_handled(), 2);
}

// The lowest free descriptor, which the next connection would get.
int NextDescriptor() {
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  close(fd);
  return fd;
}

TEST_F(ListenerTest, RefusesConnectionsBeyondItsDescriptorsAndAcceptsAgain) {
  constexpr int kRoom = 20;
  Start(NextDescriptor() + 60);
  grpc::ClientContext first;
  ASSERT_THAT(GetPost(first), GrpcOk());
  {
    // Each takes two descriptors, because the client is this process as well.
    std::vector<RawConnection> connections;
    for (int i = 0; i < 100; ++i) connections.emplace_back(listener_->port());
    EXPECT_TRUE(WaitFor([&] { return Refused() >= kRoom; }));
    EXPECT_TRUE(WaitFor([&] {
      const auto ended = std::count_if(connections.begin(), connections.end(),
                                       [](const RawConnection& connection) { return connection.HasEnded(); });
      return static_cast<double>(ended) == Refused();
    }));
    grpc::ClientContext during;
    EXPECT_THAT(GetPost(during), GrpcOk()) << "who is connected is answered";
  }
  EXPECT_TRUE(WaitFor([&] { return listener_->Answers(absl::Seconds(5)); }));
  channel_ = nullptr;
  EXPECT_TRUE(WaitFor([&] {
    grpc::ClientContext after;
    return GetPost(after).ok();
  }));
}

// Idle streams would keep others out, because few are allowed.
TEST_F(ListenerTest, AnIdleStreamOfReflectionEnds) {
  Start();
  RawHttp2 client(listener_->port(), 65535);
  const uint32_t reflection = client.Begin("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
  EXPECT_FALSE(client.Await(reflection, RawHttp2::kResetStream, absl::ZeroDuration()));
  EXPECT_TRUE(WaitFor([&] {
    listener_->Sweep(absl::Now() + limits::kReflectionStream + absl::Seconds(1));
    return client.Await(reflection, RawHttp2::kResetStream, absl::Milliseconds(50));
  }));
}

TEST(AcceptorTest, AnswersOnlyWhileSomebodyAccepts) {
  telemetry::Metrics metrics("test", "0");
  const auto acceptor = rpc::Acceptor::Listen("127.0.0.1:0", 1024, metrics.Counter("refused", ""));
  ASSERT_THAT(acceptor.status(), IsOk());
  EXPECT_FALSE((*acceptor)->Answers(absl::Milliseconds(50), false)) << "the kernel alone makes connections";
  const std::string same = absl::StrCat("127.0.0.1:", (*acceptor)->port());
  EXPECT_EQ(rpc::Acceptor::Listen(same, 1024, metrics.Counter("refused", "")).status().message(),
            "cannot listen on " + same);
}

TEST(AcceptorTest, TakesNamesAndBothKindsOfAddresses) {
  telemetry::Metrics metrics("test", "0");
  std::vector<std::string> addresses = {"127.0.0.1:0", "localhost:0", "0.0.0.0:0"};
  if (HasIpv6()) addresses.insert(addresses.end(), {"[::1]:0", "[::]:0"});
  for (const std::string& address : addresses) {
    const auto acceptor = rpc::Acceptor::Listen(address, 1024, metrics.Counter("refused", ""));
    ASSERT_THAT(acceptor.status(), IsOk()) << address;
    EXPECT_GT((*acceptor)->port(), 0);
  }
  for (const std::string address : {"no.such.host.example.invalid:0", "192.0.2.1:0"}) {
    EXPECT_EQ(rpc::Acceptor::Listen(address, 1024, metrics.Counter("refused", "")).status().message(),
              "cannot listen on " + address);
  }
}

class DeafTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(DeafTest);

TEST_P(DeafTest, AListenerThatServesNoNewConnectionEndsTheProcess) {
  Pair pair(GetParam(), false);
  pair.deaf_for = absl::Seconds(2);
  pair.StartUsers();
  pair.StartPosts();
  EXPECT_THAT(pair.post_app().service().failure(), IsOk());
  ShutDownListeningSockets(pair.post_internal_port());
  EXPECT_TRUE(WaitFor([&] { return !pair.post_app().service().failure().ok(); }));
  EXPECT_THAT(pair.user_app().service().failure(), IsOk());
}

}  // namespace
}  // namespace crosskey::testing
