// Tests that the event log is trimmed, and that metrics and blocked_reason show what does not move on.
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/support/metric_of.h"
#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

class TrimmingTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(TrimmingTest);

constexpr int64_t kWeek = 7 * 24 * 3600;

int64_t Stored(const TestDatabase& database) { return database.Number("SELECT COUNT(*) FROM outbox"); }
int64_t Floor(const TestDatabase& database) { return database.Number("SELECT floor FROM feed"); }

TEST_P(TrimmingTest, BothLogsAreTrimmedAWeekLater) {
  Pair pair(GetParam());
  const int64_t user = pair.CreateUser("ada");
  pair.CreatePosts(user, 3);
  pair.Delete(user);
  pair.AwaitState(user, user::v1::DELETION_STATE_COMPLETED);
  pair.AwaitQuiet();
  pair.clock_offset_seconds = kWeek + 60;
  EXPECT_TRUE(WaitFor([&] { return Stored(pair.user_db()) == 0 && Stored(pair.post_db()) == 0; }));
  event::v1::GetFeedInfoResponse info;
  ASSERT_THAT(Invoke(pair.user_events(), &event::v1::EventService::Stub::GetFeedInfo, {}, &info), GrpcOk());
  EXPECT_EQ(info.floor(), info.head());
  EXPECT_GT(info.floor(), 0);
  ASSERT_EQ(info.positions_size(), 1);
  EXPECT_EQ(info.positions(0).feed(), "post-service");
  EXPECT_EQ(info.positions(0).last_sequence(), pair.post_db().Number("SELECT head FROM feed"));
  EXPECT_NE(info.positions(0).feed_id(), "");

  // The feed goes on behind the floor.
  const int64_t next = pair.CreateUser("grace");
  pair.CreatePost(next);
  pair.Delete(next);
  pair.AwaitState(next, user::v1::DELETION_STATE_COMPLETED);
  pair.AwaitQuiet();
  EXPECT_EQ(pair.Orphans(), 0);
}

TEST_P(TrimmingTest, AnEventThatThePeerHasNotConsumedStaysHoweverOldItIs) {
  Pair pair(GetParam());
  pair.AwaitQuiet();
  pair.StopPosts();
  const int64_t user = pair.CreateUser("ada");
  pair.hold_post_consumer = true;
  pair.StartPosts();
  pair.clock_offset_seconds = 2 * kWeek;
  // Gives the trimming its chance: the peer is asked after the clock was moved, and the worker looks.
  pair.user_sql().Reset();
  EXPECT_TRUE(WaitFor([&] { return pair.user_sql().counted()["feed.positions"].statements >= 3; }));
  EXPECT_EQ(Stored(pair.user_db()), 1);
  EXPECT_EQ(Floor(pair.user_db()), 0);

  pair.hold_post_consumer = false;
  pair.AwaitQuiet();
  EXPECT_TRUE(WaitFor([&] { return Stored(pair.user_db()) == 0; }));
  pair.StopUsers();
  EXPECT_THAT(pair.TryCreatePost(user), GrpcOk());  // the event had its effect
}

TEST_P(TrimmingTest, AConsumerBelowTheFloorStallsVisiblyAndSkipsNothing) {
  Pair pair(GetParam());
  const int64_t user = pair.CreateUser("ada");
  pair.CreateUser("grace");
  pair.CreatePost(user);
  pair.AwaitQuiet();
  pair.clock_offset_seconds = kWeek + 60;
  EXPECT_TRUE(WaitFor([&] { return Floor(pair.user_db()) == 2; }));
  // Sets the checkpoint back, as a restored backup of post-service's database would.
  pair.StopPosts();
  pair.post_db().Run("UPDATE checkpoints SET last_sequence = 1");
  pair.StartPosts();
  const auto stalled = [&] {
    return MetricOf(pair.post_app().service().metrics(), "crosskey_consumer_stalled", {{"feed", "user-service"}});
  };
  EXPECT_TRUE(WaitFor([&] { return stalled() == 1; }));
  pair.CreateUser("edsger");
  EXPECT_TRUE(WaitFor([&] { return pair.user_db().Number("SELECT head FROM feed") == 3; }));
  EXPECT_EQ(stalled(), 1);
  EXPECT_EQ(pair.post_db().Number("SELECT last_sequence FROM checkpoints"), 1);

  event::v1::SubscribeRequest request;
  request.set_after_sequence(1);
  const auto context = Context();
  const auto reader = pair.user_events().Subscribe(context.get(), request);
  event::v1::SubscribeResponse response;
  EXPECT_FALSE(reader->Read(&response));
  const grpc::Status status = reader->Finish();
  EXPECT_THAT(status, GrpcError(grpc::StatusCode::OUT_OF_RANGE, "EVENTS_TRIMMED"));
  EXPECT_EQ(DetailOf<google::rpc::ErrorInfo>(status)->metadata().at("floor"), "2");
}

class LivenessTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(LivenessTest);

double UserMetric(Pair& pair, const std::string& name) { return MetricOf(pair.user_app().service().metrics(), name); }

TEST_P(LivenessTest, AnUnfinishedDeletionIsSeenWithItsAgeAndItsReason) {
  Pair pair(GetParam());
  const std::string gauge = "crosskey_oldest_unfinished_deletion_seconds";
  const int64_t user = pair.CreateUser("ada");
  pair.CreatePost(user);
  pair.AwaitQuiet();
  pair.StopPosts();
  pair.hold_post_consumer = true;
  pair.StartPosts();
  EXPECT_EQ(UserMetric(pair, gauge), 0);
  EXPECT_EQ(pair.Delete(user).state(), user::v1::DELETION_STATE_RECLAIMING);
  EXPECT_EQ(pair.GetDeletion(user).blocked_reason(), "");
  pair.clock_offset_seconds = 1000;
  EXPECT_TRUE(WaitFor([&] { return UserMetric(pair, gauge) >= 1000; }));
  EXPECT_TRUE(WaitFor([&] {
    return pair.GetDeletion(user).blocked_reason() == "post-service has not consumed the event of the deletion yet";
  }));

  pair.StopPosts();
  EXPECT_TRUE(WaitFor([&] { return pair.GetDeletion(user).blocked_reason() == "post-service does not answer"; }));
  pair.hold_post_consumer = false;
  pair.StartPosts();
  pair.AwaitState(user, user::v1::DELETION_STATE_COMPLETED);
  EXPECT_EQ(pair.GetDeletion(user).blocked_reason(), "");
  EXPECT_TRUE(WaitFor([&] { return UserMetric(pair, gauge) == 0; }));
}

TEST_P(LivenessTest, ADeletionThatWaitsForTheOwnConsumerSaysSo) {
  Pair pair(GetParam(), false);
  pair.hold_user_consumer = true;
  pair.StartUsers();
  pair.StartPosts();
  const int64_t user = pair.CreateUser("ada");
  pair.CreatePost(user);
  pair.Delete(user);
  pair.clock_offset_seconds = 1000;
  EXPECT_TRUE(WaitFor([&] {
    return pair.GetDeletion(user).blocked_reason() == "the events of post-service are not consumed in time";
  }));
  EXPECT_TRUE(WaitFor([&] { return UserMetric(pair, "crosskey_consumer_lag_events") >= 3; }));
  pair.hold_user_consumer = false;
  pair.AwaitState(user, user::v1::DELETION_STATE_COMPLETED);
  EXPECT_TRUE(WaitFor([&] { return UserMetric(pair, "crosskey_consumer_lag_events") == 0; }));
}

TEST_P(LivenessTest, ARecoveryThatFailsIsCounted) {
  Pair pair(GetParam(), false);
  pair.hold_recovery = true;
  pair.StartUsers();
  pair.StartPosts();
  const int64_t user = pair.CreateUser("ada");
  pair.StopPosts();
  // Makes the rows that a crash between intent and release leaves.
  pair.user_db().Run(
      absl::StrCat("INSERT INTO user_deletions (user_id, uid, action, state, blocked_reason, create_time) "
                   "SELECT id, uid, 1, 1, '', 1 FROM users WHERE id = ",
                   user));
  pair.user_db().Run(absl::StrCat("UPDATE users SET state = 2 WHERE id = ", user));
  EXPECT_EQ(UserMetric(pair, "crosskey_recovery_failures_total"), 0);
  pair.hold_recovery = false;
  EXPECT_TRUE(WaitFor([&] { return UserMetric(pair, "crosskey_recovery_failures_total") > 0; }));
  EXPECT_EQ(pair.GetDeletion(user).blocked_reason(), "post-service does not answer");
}

}  // namespace
}  // namespace crosskey::testing
