// Tests a network that carries messages one way only, on each of the two links between the services and in each
// direction.
#include <functional>
#include <thread>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/fault/calls.h"
#include "tests/support/cluster.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using ::relation::v1::REFERENTIAL_ACTION_CASCADE;
using ::relation::v1::REFERENTIAL_ACTION_RESTRICT;

// The database; who calls over the link; whether requests (and not answers) are lost.
using Parameters = std::tuple<std::string, Side, bool>;

class OneWayPartitionTest : public ::testing::TestWithParam<Parameters> {};
INSTANTIATE_TEST_SUITE_P(Links, OneWayPartitionTest,
                         ::testing::Combine(::testing::ValuesIn(Backends()),
                                            ::testing::Values(Side::kUsers, Side::kPosts), ::testing::Bool()),
                         [](const ::testing::TestParamInfo<Parameters>& of) {
                           return absl::StrCat(std::get<0>(of.param),
                                               std::get<1>(of.param) == Side::kUsers ? "UsersToPosts" : "PostsToUsers",
                                               std::get<2>(of.param) ? "Requests" : "Answers");
                         });

void AtOnce(const std::vector<std::function<void()>>& all) {
  std::vector<std::thread> threads;
  for (const auto& one : all) threads.emplace_back(one);
  for (std::thread& thread : threads) thread.join();
}

TEST_P(OneWayPartitionTest, EveryDeletionEndsAsItShouldAndNothingIsHalfDone) {
  const auto& [backend, caller, requests] = GetParam();
  const bool lost_requests = requests;
  Cluster cluster(backend, {1, true, {}});
  cluster.StartAll();
  UserStub& users = cluster.users();
  PostStub& posts = cluster.posts();
  const int64_t cascade = CreateUser(users, "cascade");
  const int64_t held = CreateUser(users, "held");
  const int64_t free = CreateUser(users, "free");
  for (const int64_t user : {cascade, held}) CreatePosts(posts, user, 3);
  cluster.AwaitQuiet();

  TcpGate& gate = *cluster.peer_gate(caller);
  const auto partition = [&](bool on) { lost_requests ? gate.SwallowToTarget(on) : gate.SwallowFromTarget(on); };
  partition(true);
  const int64_t unknown = CreateUser(users, "unknown");  // post-service may hear of it by an event or a lookup
  user::v1::UserDeletion cascaded;
  grpc::Status cascade_status;
  std::string held_outcome;
  std::string free_outcome;
  std::string post_outcome;
  std::string known_outcome;
  AtOnce({[&] { cascade_status = TryDelete(users, cascade, REFERENTIAL_ACTION_CASCADE, &cascaded); },
          [&] { held_outcome = OutcomeOf(TryDelete(users, held, REFERENTIAL_ACTION_RESTRICT)); },
          [&] { free_outcome = OutcomeOf(TryDelete(users, free, REFERENTIAL_ACTION_RESTRICT)); },
          [&] { post_outcome = OutcomeOf(TryCreatePost(posts, unknown)); },
          [&] { known_outcome = OutcomeOf(TryCreatePost(posts, held)); }});
  EXPECT_THAT(cascade_status, GrpcOk());
  EXPECT_EQ(known_outcome, "OK");
  if (caller == Side::kUsers) {
    // No release is answered. If it arrived, the posts are hidden already, else they are visible. The user is gone.
    EXPECT_EQ(cascaded.state(), user::v1::DELETION_STATE_PENDING);
    EXPECT_EQ(held_outcome, "PEER_UNAVAILABLE");
    EXPECT_EQ(free_outcome, "PEER_UNAVAILABLE");
    EXPECT_EQ(post_outcome, "OK");
  } else {
    // post-service gets neither answers to its lookups nor user-service's events. A release needs neither.
    EXPECT_EQ(cascaded.state(), user::v1::DELETION_STATE_RECLAIMING);
    EXPECT_EQ(held_outcome, "RESTRICTED");
    EXPECT_EQ(free_outcome, "OK");
    // A feed that is open already goes on while only requests are lost. It may have told of the user in time.
    const bool told = lost_requests && post_outcome == "OK";
    EXPECT_TRUE(told || post_outcome == "PEER_UNAVAILABLE") << post_outcome;
  }
  EXPECT_EQ(OutcomeOf(TryGetUser(users, cascade)), "USER_NOT_FOUND");

  partition(false);
  gate.CutAll();  // what was swallowed is lost for good
  AwaitDeletion(users, cascade, user::v1::DELETION_STATE_COMPLETED);
  EXPECT_TRUE(WaitFor([&] { return OutcomeOf(TryDelete(users, held, REFERENTIAL_ACTION_RESTRICT)) == "RESTRICTED"; }));
  EXPECT_THAT(TryGetUser(users, held), GrpcOk());
  if (caller == Side::kUsers) {
    EXPECT_TRUE(WaitFor([&] { return TryDelete(users, free, REFERENTIAL_ACTION_RESTRICT).ok(); }));
  }
  AwaitDeletion(users, free, user::v1::DELETION_STATE_COMPLETED);
  EXPECT_TRUE(WaitFor([&] { return TryCreatePost(posts, unknown).ok(); }));
  EXPECT_EQ(OutcomeOf(TryCreatePost(posts, free)), "FOREIGN_KEY_VIOLATION");
  cluster.AwaitQuiet();
  EXPECT_EQ(cluster.Orphans(), 0);
  EXPECT_EQ(cluster.post_db().Number(absl::StrCat("SELECT COUNT(*) FROM posts WHERE user_id = ", cascade)), 0);
  EXPECT_EQ(cluster.post_db().Number(absl::StrCat("SELECT COUNT(*) FROM posts WHERE user_id = ", held)), 4);
}

}  // namespace
}  // namespace crosskey::testing
