// What the metrics say about deletions and about the feed.
#include <gtest/gtest.h>

#include "tests/support/metric_of.h"
#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

class MetricsTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(MetricsTest);

TEST_P(MetricsTest, CountDeletionsAndTheRowsThatTheyRemove) {
  Pair pair(GetParam());
  telemetry::Metrics& users = pair.user_app().service().metrics();
  telemetry::Metrics& posts = pair.post_app().service().metrics();
  const auto reached = [&](const std::string& state) {
    return MetricOf(users, "crosskey_deletions_total", {{"state", state}});
  };
  const auto removed = [](telemetry::Metrics& of, const std::string& relationship) {
    return MetricOf(of, "crosskey_reclaimed_rows_total", {{"relationship", relationship}});
  };
  const int64_t ada = pair.CreateUser("ada");
  const int64_t grace = pair.CreateUser("grace");
  const std::vector<int64_t> written = pair.CreatePosts(ada, 3);
  // grace likes two posts of ada and pins one. ada likes one of her own.
  for (const auto& [user, post] : {std::pair(grace, written[0]), {grace, written[1]}, {ada, written[0]}}) {
    post::v1::LikePostRequest like;
    like.set_post_id(post);
    like.set_user_id(user);
    post::v1::LikePostResponse liked;
    EXPECT_THAT(Invoke(pair.posts(), &post::v1::PostService::Stub::LikePost, like, &liked), GrpcOk());
  }
  user::v1::UpdateUserRequest pin;
  pin.mutable_user()->set_id(grace);
  pin.mutable_user()->set_pinned_post_id(written[0]);
  user::v1::UpdateUserResponse pinned;
  EXPECT_THAT(Invoke(pair.users(), &user::v1::UserService::Stub::UpdateUser, pin, &pinned), GrpcOk());

  pair.Delete(ada);
  pair.AwaitState(ada, user::v1::DELETION_STATE_COMPLETED);
  pair.AwaitQuiet();
  EXPECT_EQ(reached("reclaiming"), 1);
  EXPECT_EQ(reached("pending"), 0);
  EXPECT_EQ(removed(posts, "post.v1.Post.user_id"), 3);
  // Each like goes once: with its user or with its post.
  EXPECT_EQ(removed(posts, "post.v1.Like.user_id") + removed(posts, "post.v1.Like.post_id"), 3);
  EXPECT_TRUE(WaitFor([&] { return reached("completed") == 1; }));
  EXPECT_TRUE(WaitFor([&] { return removed(users, "user.v1.User.pinned_post_id") == 1; }));

  pair.StopPosts();
  pair.Delete(grace);
  EXPECT_EQ(reached("pending"), 1);
}

TEST_P(MetricsTest, TellWhatIsInTheFeedAndWhetherItIsServed) {
  Pair pair(GetParam());
  telemetry::Metrics& users = pair.user_app().service().metrics();
  pair.CreateUser("ada");
  pair.CreateUser("grace");
  EXPECT_TRUE(WaitFor([&] { return MetricOf(users, "crosskey_feed_head_sequence") == 2; }));
  EXPECT_EQ(MetricOf(users, "crosskey_feed_floor_sequence"), 0);
  EXPECT_EQ(MetricOf(users, "crosskey_ready"), 1);
  pair.user_db().Run("ALTER TABLE feed RENAME TO feed_away");
  EXPECT_TRUE(WaitFor([&] { return MetricOf(users, "crosskey_ready") == 0; }));
  pair.user_db().Run("ALTER TABLE feed_away RENAME TO feed");
  EXPECT_TRUE(WaitFor([&] { return MetricOf(users, "crosskey_ready") == 1; }));
}

}  // namespace
}  // namespace crosskey::testing
