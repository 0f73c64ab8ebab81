// A service dies, or loses an answer, at every place where that makes a difference.
#include <csignal>
#include <cstdlib>
#include <set>

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/events/uuid.h"
#include "common/fault/points.h"
#include "common/status/limits.h"
#include "tests/fault/deletions_scenario.h"
#include "tests/support/pair.h"
#include "tests/support/secrets.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using post::v1::PostService;
using ::relation::v1::REFERENTIAL_ACTION_RESTRICT;
using ::relation::v1::REFERENTIAL_ACTION_UNSPECIFIED;
using ::relation::v1::ReferentialAction;
using user::v1::UserService;

class CrashTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(CrashTest);

std::vector<std::string> Points(const std::vector<std::string>& transactions,
                                const std::vector<std::string>& messages) {
  std::vector<std::string> points = messages;
  for (const std::string& transaction : transactions) {
    points.push_back(transaction + ".before_commit");
    points.push_back(transaction + ".after_commit");
  }
  return points;
}

// The points that each service reaches in a DeletionsScenario. "deletion.note_blocked" is reached only if the peer does
// not answer, which Break sees to.
const std::vector<std::string>& PointsOf(Side side) {
  static const std::vector<std::string> users =
      Points({"deletion.intent", "deletion.decide", "deletion.note_blocked", "guarded_write", "reclaim", "sequencer",
              "consumer"},
             {fault::kReleaseSend, fault::kReleaseAnswered, fault::kLookupReceived, fault::kLookupSend,
              fault::kLookupAnswered, fault::kGuardLocked, fault::kFeedSend, fault::kFeedSent, fault::kFeedReceived});
  static const std::vector<std::string> posts =
      Points({"release", "guarded_write", "reclaim", "reclaim.hidden", "sequencer", "consumer"},
             {fault::kReleaseReceived, fault::kReleaseLocked, fault::kLookupReceived, fault::kLookupSend,
              fault::kLookupAnswered, fault::kGuardLocked, fault::kFeedSend, fault::kFeedSent, fault::kFeedReceived});
  return side == Side::kUsers ? users : posts;
}

TEST(CrashPoints, EveryPointOfTheListIsTriedInOneServiceAtLeast) {
  std::set<std::string> tried(PointsOf(Side::kUsers).begin(), PointsOf(Side::kUsers).end());
  tried.insert(PointsOf(Side::kPosts).begin(), PointsOf(Side::kPosts).end());
  std::set<std::string> listed(std::begin(fault::kMessages), std::end(fault::kMessages));
  for (const char* transaction : fault::kTransactions) {
    listed.insert(absl::StrCat(transaction, ".before_commit"));
    listed.insert(absl::StrCat(transaction, ".after_commit"));
  }
  EXPECT_EQ(tried, listed);
}

// With NATS (tests/nats) the events of the scenario do not go from service to service.
bool IsReached(const std::string& point) {
  const bool in_feed = point == fault::kFeedSend || point == fault::kFeedSent;
  return !in_feed || std::getenv("CROSSKEY_TEST_EVENTS") == nullptr;
}

// Repeats the scenario with the fault until it has struck, and then without it until everything is decided.
void Break(Cluster& cluster, Side side, const std::string& point, const std::string& action) {
  SCOPED_TRACE(absl::StrCat(side == Side::kUsers ? "user-service " : "post-service ", point, "=", action));
  if (!IsReached(point)) return;
  DeletionsScenario scenario(cluster);
  const Side other = side == Side::kUsers ? Side::kPosts : Side::kUsers;
  const bool blocked = absl::StartsWith(point, "deletion.note_blocked");
  cluster.Kill(side);
  cluster.Start(side, 0, {"--fault", absl::StrCat(point, "=", action)});
  if (blocked) {
    // The other service fails the first two releases. That leaves the RESTRICT of the scenario undecided.
    cluster.Kill(other);
    cluster.Start(other, 0, {"--fault", "release.received=fail@1", "--fault", "release.received=fail@2"});
  }
  const auto struck = [&] {
    return absl::StrContains(cluster.process(side).Output(), absl::StrCat("fault point ", point, " reached"));
  };
  EXPECT_TRUE(WaitFor([&] { return scenario.Attempt() ? WaitFor(struck) : struck(); })) << "the point is not reached";
  if (action == "die") {
    EXPECT_EQ(cluster.process(side).Wait(), 128 + SIGKILL);
    cluster.Start(side);
  }
  EXPECT_TRUE(WaitFor([&] { return scenario.Attempt(); })) << "deletions stay undecided";
  scenario.Check();
}

int64_t NewUser(Cluster& cluster) {
  user::v1::CreateUserRequest request;
  request.set_username(kPrivate);
  user::v1::CreateUserResponse response;
  EXPECT_THAT(Invoke(cluster.users(), &UserService::Stub::CreateUser, request, &response), GrpcOk());
  return response.user().id();
}

// Fails at once if the service is away.
grpc::Status AskForDeletion(Cluster& cluster, int64_t user, ReferentialAction action = REFERENTIAL_ACTION_UNSPECIFIED) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  user::v1::DeleteUserRequest request;
  request.set_id(user);
  request.set_on_delete(action);
  user::v1::DeleteUserResponse response;
  return cluster.users().DeleteUser(&context, request, &response);
}

TEST_P(CrashTest, UserServiceIsKilledAtEveryPoint) {
  Cluster cluster(GetParam(), {});
  cluster.StartAll();
  for (const std::string& point : PointsOf(Side::kUsers)) Break(cluster, Side::kUsers, point, "die");
}

TEST_P(CrashTest, PostServiceIsKilledAtEveryPoint) {
  Cluster cluster(GetParam(), {});
  cluster.StartAll();
  for (const std::string& point : PointsOf(Side::kPosts)) Break(cluster, Side::kPosts, point, "die");
}

// At the points of a commit its answer is lost, before or after it took effect.
TEST_P(CrashTest, UserServiceLosesAnAnswerAtEveryPoint) {
  Cluster cluster(GetParam(), {});
  cluster.StartAll();
  for (const std::string& point : PointsOf(Side::kUsers)) Break(cluster, Side::kUsers, point, "fail");
}

TEST_P(CrashTest, PostServiceLosesAnAnswerAtEveryPoint) {
  Cluster cluster(GetParam(), {});
  cluster.StartAll();
  for (const std::string& point : PointsOf(Side::kPosts)) Break(cluster, Side::kPosts, point, "fail");
}

// Nothing may have happened anywhere before the intent is stored, because without an intent nobody would ever undo it.
TEST_P(CrashTest, ADeletionThatDiesBeforeItsIntentHasChangedNothing) {
  Cluster cluster(GetParam(), {});
  cluster.StartAll();
  const int64_t user = NewUser(cluster);
  post::v1::CreatePostRequest write;
  write.set_user_id(user);
  write.set_title("title");
  post::v1::CreatePostResponse written;
  ASSERT_THAT(Invoke(cluster.posts(), &PostService::Stub::CreatePost, write, &written), GrpcOk());
  cluster.Kill(Side::kUsers);
  cluster.Start(Side::kUsers, 0, {"--fault", "deletion.intent.before_commit=die"});
  EXPECT_TRUE(WaitFor([&] { return !AskForDeletion(cluster, user).ok() && !cluster.Running(Side::kUsers); }));
  cluster.Start(Side::kUsers);
  cluster.AwaitQuiet();
  EXPECT_EQ(cluster.user_db().Number("SELECT COUNT(*) FROM users WHERE state = 1"), 1);
  post::v1::GetPostRequest read;
  read.set_id(written.post().id());
  post::v1::GetPostResponse found;
  EXPECT_THAT(Invoke(cluster.posts(), &PostService::Stub::GetPost, read, &found), GrpcOk());
}

// A deletion that is past its intent goes on by itself, so here nobody asks for it again.
TEST_P(CrashTest, ADeletionIsFinishedAlthoughItsCallerNeverComesBack) {
  Cluster cluster(GetParam(), {});
  cluster.StartAll();
  const int64_t user = NewUser(cluster);
  cluster.Kill(Side::kUsers);
  cluster.Start(Side::kUsers, 0, {"--fault", "deletion.intent.after_commit=die"});
  EXPECT_TRUE(WaitFor([&] {
    return !AskForDeletion(cluster, user, REFERENTIAL_ACTION_RESTRICT).ok() && !cluster.Running(Side::kUsers);
  }));
  cluster.Start(Side::kUsers);
  EXPECT_TRUE(WaitFor([&] { return cluster.user_db().Number("SELECT state FROM user_deletions") == 5; }));
  cluster.AwaitQuiet();
}

// The service dies between the commit and its answer. The effect is stored, and with it the answer that nobody got.
TEST_P(CrashTest, AWriteThatIsSentAgainHasOneEffectAlthoughTheServiceDiedBeforeItsAnswer) {
  Cluster cluster(GetParam(), {});
  cluster.StartAll();
  const int64_t user = NewUser(cluster);
  cluster.Kill(Side::kPosts);
  cluster.Start(Side::kPosts, 0, {"--fault", "guarded_write.after_commit=die"});
  post::v1::CreatePostRequest request;
  request.set_user_id(user);
  request.set_title("title");
  request.set_request_id(NewUuid());
  post::v1::CreatePostResponse response;
  EXPECT_TRUE(WaitFor([&] {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    return !cluster.posts().CreatePost(&context, request, &response).ok() && !cluster.Running(Side::kPosts);
  }));
  cluster.Start(Side::kPosts);
  EXPECT_THAT(Invoke(cluster.posts(), &PostService::Stub::CreatePost, request, &response), GrpcOk());
  EXPECT_EQ(cluster.post_db().Number("SELECT COUNT(*) FROM posts"), 1);
  EXPECT_EQ(cluster.post_db().Number("SELECT MAX(id) FROM posts"), response.post().id());
  EXPECT_EQ(cluster.post_db().Number("SELECT COUNT(*) FROM outbox WHERE type = 'post.v1.PostCreated'"), 1);
}

TEST_P(CrashTest, ACascadeOf100000PostsSurvivesFiveKillsInItsMiddle) {
  constexpr int kPosts = 100'000;
  Cluster cluster(GetParam(), {});
  cluster.StartAll();
  const int64_t user = NewUser(cluster);
  post::v1::BatchCreatePostsRequest batch;
  for (int i = 0; i < 1000; ++i) {
    auto* post = batch.add_requests();
    post->set_user_id(user);
    post->set_title("title");
  }
  for (int i = 0; i < kPosts / 1000; ++i) {
    post::v1::BatchCreatePostsResponse response;
    ASSERT_THAT(Invoke(cluster.posts(), &PostService::Stub::BatchCreatePosts, batch, &response), GrpcOk());
  }
  cluster.Kill(Side::kPosts);
  // Each life of the process ends after its 15th batch, with most of the posts left.
  const std::vector<std::string> fault = {"--fault", "reclaim.after_commit=die@15"};
  cluster.Start(Side::kPosts, 0, fault);
  EXPECT_THAT(AskForDeletion(cluster, user), GrpcOk());
  int64_t before = kPosts;
  for (int kill = 1; kill <= 5; ++kill) {
    EXPECT_EQ(cluster.process(Side::kPosts).Wait(), 128 + SIGKILL);
    const int64_t left = cluster.post_db().Number("SELECT COUNT(*) FROM posts");
    EXPECT_LT(left, before);
    EXPECT_GE(left, before - 15 * limits::kReclaimBatchRows);
    before = left;
    // Does not wait until the process serves, because it may die again before that.
    cluster.Start(Side::kPosts, 0, kill < 5 ? fault : std::vector<std::string>(), false);
  }
  cluster.AwaitQuiet();
  EXPECT_EQ(cluster.post_db().Number("SELECT COUNT(*) FROM posts"), 0);
  EXPECT_EQ(cluster.user_db().Number("SELECT removed FROM deletion_rows WHERE relationship = 'post.v1.Post.user_id'"),
            kPosts);
  EXPECT_EQ(cluster.post_db().Number("SELECT COUNT(*) FROM outbox WHERE type = 'post.v1.UserPostsReclaimed'"), 1);
}

}  // namespace
}  // namespace crosskey::testing
