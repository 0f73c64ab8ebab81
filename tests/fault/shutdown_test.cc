// Sends SIGTERM to each service while much is under way. What is in flight has to end well, and everybody else has to
// get a clear answer.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <functional>
#include <mutex>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "event/v1/event_service.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/fault/calls.h"
#include "tests/fault/many_calls.h"
#include "tests/support/cluster.h"
#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"
#include "tests/support/watch.h"

namespace crosskey::testing {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckResponse;
using ::testing::Not;

constexpr int kCalls = 100;
constexpr int kFeeds = 50;
constexpr absl::Duration kPromised = absl::Seconds(12);  // from SIGTERM to the end of the process

// Feeds that are open and follow their event log, each with a thread that waits for its end.
class Feeds {
 public:
  explicit Feeds(const std::shared_ptr<grpc::Channel>& channel) : stub_(event::v1::EventService::NewStub(channel)) {
    for (int i = 0; i < kFeeds; ++i) {
      threads_.emplace_back([this] {
        const auto context = ContextFor(kCallLimit);
        const auto reader = stub_->Subscribe(context.get(), event::v1::SubscribeRequest());
        event::v1::SubscribeResponse response;
        for (bool first = true; reader->Read(&response); first = false) opened_ += first ? 1 : 0;
        ends_.Add(reader->Finish());
        ++ended_;
      });
    }
    EXPECT_TRUE(WaitFor([&] { return opened_ == kFeeds; }));
  }
  ~Feeds() {
    for (std::thread& thread : threads_) thread.join();
  }

  int ended() const { return ended_; }
  const Outcomes& ends() const { return ends_; }

 private:
  const std::unique_ptr<event::v1::EventService::Stub> stub_;
  std::atomic<int> opened_ = 0;
  std::atomic<int> ended_ = 0;
  Outcomes ends_;
  std::vector<std::thread> threads_;
};

class ShutdownTest : public DatabaseTest {
 protected:
  ShutdownTest() : cluster_(GetParam(), {}) {}

  // Starts both services. In the one that will be stopped all writes wait at the point of `hold`; on SQLite, which has
  // one writer, one waits there and the others queue up.
  void Start(Side stopped, const Hold& hold) {
    std::vector<std::string> flags = {"--db-pool", std::to_string(kCalls + 16)};
    flags.insert(flags.end(), hold.flags().begin(), hold.flags().end());
    cluster_.Start(Side::kUsers, 0, stopped == Side::kUsers ? flags : std::vector<std::string>());
    cluster_.Start(Side::kPosts, 0, stopped == Side::kPosts ? flags : std::vector<std::string>());
  }
  int Holders() const { return GetParam() == "sqlite" ? 1 : kCalls; }

  // Sends SIGTERM to a service with `calls` in flight. `refused` makes a new call to it.
  void Stop(Side side, const std::string& service, Hold& hold, ManyCalls& calls,
            const std::function<grpc::Status()>& refused) {
    EXPECT_TRUE(WaitFor([&] { return InFlight(cluster_.metrics_port(side), service) == kCalls; }));
    Feeds feeds(cluster_.OpenInternal(side));
    const auto health = Health::NewStub(OpenChannel(cluster_.port(side)));
    const auto context = ContextFor(kCallLimit);
    const auto watch = health->Watch(context.get(), grpc::health::v1::HealthCheckRequest());
    HealthCheckResponse state;
    EXPECT_TRUE(watch->Read(&state));
    EXPECT_EQ(state.status(), HealthCheckResponse::SERVING);

    const absl::Time begin = absl::Now();
    cluster_.process(side).Signal(SIGTERM);
    EXPECT_TRUE(watch->Read(&state));
    EXPECT_EQ(state.status(), HealthCheckResponse::NOT_SERVING);
    EXPECT_TRUE(WaitFor([&] { return OutcomeOf(refused()) == "DRAINING"; }));
    EXPECT_TRUE(WaitFor([&] { return feeds.ended() == kFeeds; }));
    EXPECT_EQ(feeds.ends().Except({"DRAINING"}), "");
    EXPECT_EQ(calls.ended(), 0) << calls.outcomes().ToString();
    // The service answers its peer until there is nothing left to wait for, so that the peer's clients do not suffer.
    event::v1::GetFeedInfoResponse info;
    EXPECT_THAT(event::v1::EventService::NewStub(OpenChannel(cluster_.internal_port(side)))
                    ->GetFeedInfo(ContextFor(kCallLimit).get(), {}, &info),
                GrpcOk());

    hold.Release();
    EXPECT_TRUE(WaitFor([&] { return calls.ended() == kCalls; }));
    EXPECT_EQ(calls.outcomes().Except({"OK"}), "") << "a call that was in flight did not end well";
    EXPECT_EQ(cluster_.process(side).Wait(), 0);
    EXPECT_LT(absl::Now() - begin, kPromised);
    EXPECT_THAT(refused(), Not(GrpcOk()));
  }

  Cluster cluster_;
};
CROSSKEY_ON_EVERY_DATABASE(ShutdownTest);

TEST_P(ShutdownTest, PostServiceFinishesItsCallsAndEndsItsFeeds) {
  Hold hold("guarded_write.before_commit", Holders());
  Start(Side::kPosts, hold);
  const int64_t user = CreateUser(cluster_.users(), "ada");
  cluster_.AwaitQuiet();
  ManyCalls calls(cluster_.port(Side::kPosts), 2);
  for (int i = 0; i < kCalls; ++i) calls.CreatePost(user);
  Stop(Side::kPosts, "post.v1.PostService", hold, calls,
       [&] { return TryGetPost(cluster_.posts(), 1, absl::Seconds(2)); });

  cluster_.Start(Side::kPosts);
  EXPECT_EQ(calls.created().size(), static_cast<size_t>(kCalls));
  for (const int64_t id : calls.created()) EXPECT_THAT(TryGetPost(cluster_.posts(), id), GrpcOk());
  EXPECT_THAT(TryCreatePost(cluster_.posts(), user), GrpcOk());
  cluster_.AwaitQuiet();
  EXPECT_EQ(cluster_.Orphans(), 0);
}

TEST_P(ShutdownTest, UserServiceFinishesItsDeletionsAndEndsItsFeeds) {
  Hold hold("deletion.intent.before_commit", Holders());
  Start(Side::kUsers, hold);
  std::vector<int64_t> users;
  for (int i = 0; i < kCalls; ++i) users.push_back(CreateUser(cluster_.users(), absl::StrCat("user ", i)));
  for (const int64_t user : users) CreatePosts(cluster_.posts(), user, 1);
  ManyCalls calls(cluster_.port(Side::kUsers), 2);
  for (const int64_t user : users) calls.DeleteUser(user);
  Stop(Side::kUsers, "user.v1.UserService", hold, calls,
       [&] { return TryGetUser(cluster_.users(), 1, absl::Seconds(2)); });

  cluster_.Start(Side::kUsers);
  for (const int64_t user : users) AwaitDeletion(cluster_.users(), user, user::v1::DELETION_STATE_COMPLETED);
  cluster_.AwaitQuiet();
  EXPECT_EQ(cluster_.Orphans(), 0);
  EXPECT_EQ(cluster_.post_db().Number("SELECT COUNT(*) FROM posts"), 0);
}

// Clients go on without a pause while the services are stopped and started, one after the other.
TEST_P(ShutdownTest, NoAcknowledgedWriteIsLostAndEveryRefusalIsOneToRepeat) {
  cluster_.StartAll();
  const int64_t user = CreateUser(cluster_.users(), "ada");
  Outcomes outcomes;
  std::mutex mutex;
  std::vector<int64_t> posts;
  std::vector<int64_t> users;
  std::atomic<bool> over = false;
  std::vector<std::thread> clients;
  for (int client = 0; client < kCalls; ++client) {
    clients.emplace_back([&, client] {
      for (int i = 0; !over; ++i) {
        int64_t id = 0;
        const bool post = client % 2 == 0;
        const grpc::Status status = post ? TryCreatePost(cluster_.posts(), user, &id)
                                         : TryCreateUser(cluster_.users(), absl::StrCat(client, " ", i), &id);
        outcomes.Add(status);
        std::lock_guard lock(mutex);
        if (status.ok()) (post ? posts : users).push_back(id);
      }
    });
  }
  for (const Side side : {Side::kPosts, Side::kUsers, Side::kPosts}) {
    const int64_t before = outcomes.Count("OK");
    EXPECT_TRUE(WaitFor([&] { return outcomes.Count("OK") > before + 200; }));
    const absl::Time begin = absl::Now();
    cluster_.process(side).Signal(SIGTERM);
    EXPECT_EQ(cluster_.process(side).Wait(), 0);
    EXPECT_LT(absl::Now() - begin, kPromised);
    cluster_.Start(side);
  }
  over = true;
  for (std::thread& client : clients) client.join();
  std::printf("%s\n", outcomes.ToString().c_str());
  EXPECT_EQ(outcomes.Except({"OK", "DRAINING", "UNAVAILABLE", "DATABASE_UNAVAILABLE"}), "");
  EXPECT_GT(outcomes.Count("DRAINING"), 0);
  const auto stored = [](TestDatabase& database, const std::string& table) {
    std::set<int64_t> ids;
    for (const auto& row : database.Query("SELECT id FROM " + table)) ids.insert(std::stoll(row.front()));
    return ids;
  };
  const std::set<int64_t> stored_posts = stored(cluster_.post_db(), "posts");
  const std::set<int64_t> stored_users = stored(cluster_.user_db(), "users");
  for (const int64_t id : posts) EXPECT_EQ(stored_posts.count(id), 1u) << "post " << id;
  for (const int64_t id : users) EXPECT_EQ(stored_users.count(id), 1u) << "user " << id;
  cluster_.AwaitQuiet();
  EXPECT_EQ(cluster_.Orphans(), 0);
}

}  // namespace
}  // namespace crosskey::testing
