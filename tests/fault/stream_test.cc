// Tests streams that stay open. Each holds a thread of its listener, so their number is bounded.
#include <gtest/gtest.h>

#include "event/v1/event_service.grpc.pb.h"
#include "tests/fault/calls.h"
#include "tests/fault/many_calls.h"
#include "tests/support/cluster.h"
#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"
#include "tests/support/watch.h"

namespace crosskey::testing {
namespace {

class StreamTest : public DatabaseTest {
 protected:
  StreamTest() : cluster_(GetParam(), {}) {}

  Cluster cluster_;
};
CROSSKEY_ON_EVERY_DATABASE(StreamTest);

TEST_P(StreamTest, MoreThan64SubscribersAreRefusedUntilOneLeaves) {
  cluster_.StartAll();
  const auto stub = event::v1::EventService::NewStub(cluster_.OpenInternal(Side::kUsers));
  struct Subscriber {
    std::unique_ptr<grpc::ClientContext> context = ContextFor(kCallLimit);
    std::unique_ptr<grpc::ClientReader<event::v1::SubscribeResponse>> reader;
  };
  // True if a first message came. A stream that is accepted gets a bookmark at once.
  const auto subscribe = [&](Subscriber& subscriber, grpc::Status* refusal) {
    subscriber.reader = stub->Subscribe(subscriber.context.get(), event::v1::SubscribeRequest());
    event::v1::SubscribeResponse response;
    if (subscriber.reader->Read(&response)) return true;
    *refusal = subscriber.reader->Finish();
    return false;
  };
  cluster_.AwaitQuiet();
  CreateUser(cluster_.users(), "ada");
  cluster_.AwaitQuiet();  // post-service is the first subscriber
  std::vector<Subscriber> subscribers(63);
  grpc::Status refusal;
  for (Subscriber& subscriber : subscribers) EXPECT_TRUE(subscribe(subscriber, &refusal)) << refusal.error_message();
  for (int i = 0; i < 5; ++i) {
    Subscriber one_more;
    EXPECT_FALSE(subscribe(one_more, &refusal));
    EXPECT_EQ(OutcomeOf(refusal), "OVERLOADED");
  }
  subscribers.back().context->TryCancel();
  subscribers.back().reader->Finish();
  EXPECT_TRUE(WaitFor([&] {
    Subscriber next;
    const bool taken = subscribe(next, &refusal);
    next.context->TryCancel();
    return taken;
  }));
  for (Subscriber& subscriber : subscribers) subscriber.context->TryCancel();
}

TEST_P(StreamTest, IdleReflectionStreamsOfManyConnectionsLeaveThreadsForRealCalls) {
  constexpr int kConnections = 8;
  constexpr int kStreams = 800;  // the listener has 264 threads
  cluster_.Start(Side::kUsers);
  cluster_.Start(Side::kPosts, 0, {"--max-in-flight", "8"});
  const int64_t user = CreateUser(cluster_.users(), "ada");
  cluster_.AwaitQuiet();
  const pid_t process = cluster_.process(Side::kPosts).pid();
  const int64_t threads = UsageOf(process).threads;
  IdleStreams idle(cluster_.port(Side::kPosts), kConnections);
  for (int i = 0; i < kStreams; ++i) idle.Open("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo");
  // The server ends the streams beyond the limit; the client never ends one.
  EXPECT_TRUE(WaitFor([&] { return idle.ended() == kStreams - 16; })) << idle.ended();
  for (int i = 0; i < 20; ++i) EXPECT_THAT(TryCreatePost(cluster_.posts(), user), GrpcOk());
  EXPECT_TRUE(WaitFor([&] { return UsageOf(process).threads < threads + 32; })) << UsageOf(process).threads;
  EXPECT_EQ(idle.ended(), kStreams - 16);
}

}  // namespace
}  // namespace crosskey::testing
