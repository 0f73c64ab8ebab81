// Databases that are restored, emptied or trimmed: it is noticed, nothing goes on silently, and a repair mends it.
#include "absl/strings/str_cat.h"
#include "tests/integration/restored_pair.h"

namespace crosskey::testing {
namespace {

using grpc::StatusCode;
using relation::Repair;
using relation::Report;

const auto kMismatch = GrpcError(StatusCode::FAILED_PRECONDITION, "HISTORY_MISMATCH");

class RestoreTest : public RestoredPair {};
CROSSKEY_ON_EVERY_DATABASE(RestoreTest);

TEST_P(RestoreTest, UserServiceAlone) {
  const std::string backup = pair_.user_db().Backup();
  const int64_t carl = pair_.CreateUser("carl");
  const int64_t of_carl = pair_.CreatePost(carl);
  pair_.Delete(bob_);
  pair_.AwaitState(bob_, user::v1::DELETION_STATE_COMPLETED);
  pair_.AwaitQuiet();
  RestoreUsers(backup);
  ExpectLost(pair_.user_app().service(), "user-service", TryCreateUser("dora"));
  // The other side has noticed too. What refers to rows that it knows goes on, and events come and go; the mismatch
  // stays known.
  EXPECT_TRUE(WaitFor([&] {
    return MetricOf(pair_.post_app().service().metrics(), "crosskey_history_mismatch", {{"service", "user-service"}}) ==
           1;
  }));
  for (int i = 0; i < 20; ++i) pair_.CreatePost(ada_);
  pair_.StopPosts();
  pair_.StartPosts();
  ExpectLost(pair_.user_app().service(), "user-service", TryCreateUser("dora"));
  const Report report = CheckOf(Posts());
  EXPECT_TRUE(report.needs_repair);
  EXPECT_EQ(report.problems, (std::map<std::string, int64_t>{{relation::kLostParent, 1}}));
  ASSERT_EQ(report.examples.size(), 1u);
  EXPECT_EQ(report.examples[0].resource, absl::StrCat("users/", carl));
  EXPECT_FALSE(CheckOf(Users()).is_clean());
  EXPECT_FALSE(CheckOf(Users()).needs_repair);
  EXPECT_THAT(pair_.TryGetPost(of_carl), GrpcOk());  // a check changes nothing

  const Repair::Done done = RepairOf(Posts());
  EXPECT_EQ(done.given_up, 1);
  EXPECT_THAT(pair_.TryGetPost(of_carl), GrpcError(StatusCode::NOT_FOUND, "POST_NOT_FOUND"));
  EXPECT_THAT(pair_.TryGetPost(post_), GrpcOk());
  EXPECT_GT(pair_.CreateUser("dora"), carl) << "a lost id is never given again";
  ExpectSound();
  // The deletion of bob is lost, so he is there, without his posts.
  EXPECT_THAT(pair_.TryGetUser(bob_), GrpcOk());
  EXPECT_TRUE(pair_.ListPostIds(bob_).empty());
  EXPECT_THAT(pair_.TryCreatePost(bob_), GrpcOk());
}

// The deletion is lost after its release, so the user lives and its posts are hidden. A repair shows them again.
TEST_P(RestoreTest, ALostDeletionIsTakenBack) {
  pair_.StopPosts();
  pair_.hold_post_consumer = true;
  pair_.StartPosts();
  const std::string backup = pair_.user_db().Backup();
  pair_.Delete(bob_);
  EXPECT_THAT(pair_.TryGetPost(of_bob_), GrpcError(StatusCode::NOT_FOUND, "POST_NOT_FOUND"));
  pair_.StopUsers();
  pair_.user_db().Restore(backup);
  pair_.hold_post_consumer = false;
  pair_.StartUsers();
  // No event tells of it: only the highest deletion does.
  ExpectLost(pair_.user_app().service(), "user-service", TryCreateUser("dora"));
  EXPECT_EQ(CheckOf(Posts()).problems, (std::map<std::string, int64_t>{{relation::kHiddenParent, 1}}));
  EXPECT_EQ(RepairOf(Posts()).returned, 1);
  EXPECT_THAT(pair_.TryGetPost(of_bob_), GrpcOk());
  ExpectSound();
}

// A user that post-service has met by a lookup only, ahead of its events.
TEST_P(RestoreTest, ALookupAheadOfEventsIsAWitness) {
  pair_.StopPosts();
  pair_.hold_post_consumer = true;
  pair_.StartPosts();
  const std::string backup = pair_.user_db().Backup();
  const int64_t carl = pair_.CreateUser("carl");
  pair_.CreatePost(carl);
  RestoreUsers(backup);
  ExpectLost(pair_.user_app().service(), "user-service", TryCreateUser("dora"));
  pair_.StopPosts();
  pair_.hold_post_consumer = false;
  pair_.StartPosts();
  EXPECT_TRUE(WaitFor([&] { return CheckOf(Posts()).problems.count(relation::kLostParent) == 1; }));
  EXPECT_EQ(RepairOf(Posts()).given_up, 1);
  ExpectSound();
  EXPECT_GT(pair_.CreateUser("dora"), carl);
}

TEST_P(RestoreTest, PostServiceAlone) {
  user::v1::UpdateUserRequest pin;
  pin.mutable_user()->set_id(ada_);
  const std::string backup = pair_.post_db().Backup();
  const int64_t lost = pair_.CreatePost(ada_);
  pin.mutable_user()->set_pinned_post_id(lost);
  user::v1::UpdateUserResponse pinned;
  EXPECT_THAT(Invoke(pair_.users(), &user::v1::UserService::Stub::UpdateUser, pin, &pinned), GrpcOk());
  pair_.Delete(bob_);
  pair_.AwaitState(bob_, user::v1::DELETION_STATE_COMPLETED);
  pair_.AwaitQuiet();
  RestorePosts(backup);
  ExpectLost(pair_.post_app().service(), "post-service", pair_.TryCreatePost(ada_));
  // The pin is that of a lost post: it shows until the repair, and never another post.
  EXPECT_EQ(CheckOf(Users()).problems.count(relation::kLostParent), 1u);
  EXPECT_EQ(RepairOf(Users()).given_up, 1);
  ExpectSound();
  EXPECT_GT(pair_.CreatePost(ada_), lost);
  EXPECT_TRUE(pair_.ListPostIds(bob_).empty());
}

// The report of the reclaim is lost with post-service's feed.
TEST_P(RestoreTest, ADeletionWhoseReportIsLostEnds) {
  pair_.StopUsers();
  pair_.hold_user_consumer = true;
  pair_.StartUsers();
  pair_.Delete(bob_);
  ASSERT_TRUE(WaitFor([&] { return pair_.post_db().Number("SELECT COUNT(*) FROM user_refs WHERE id = 2") == 0; }));
  pair_.StopPosts();
  // As after a restore to before the reclaim whose events were consumed already, and have been trimmed by now.
  pair_.post_db().Run("DELETE FROM outbox");
  pair_.post_db().Run("UPDATE feed SET floor = head");
  pair_.hold_user_consumer = false;
  pair_.StartPosts();
  EXPECT_TRUE(WaitFor([&] { return !CheckOf(Users()).is_clean(); }));
  EXPECT_EQ(pair_.GetDeletion(bob_).state(), user::v1::DELETION_STATE_RECLAIMING);
  EXPECT_EQ(RepairOf(Users()).completed, 1);
  ExpectSound();
}

TEST_P(RestoreTest, BothFromDifferentMoments) {
  const std::string users = pair_.user_db().Backup();
  const int64_t carl = pair_.CreateUser("carl");
  pair_.CreatePost(carl);
  pair_.AwaitQuiet();
  const std::string posts = pair_.post_db().Backup();
  pair_.CreatePost(pair_.CreateUser("dora"));
  pair_.AwaitQuiet();
  pair_.StopUsers();
  pair_.StopPosts();
  pair_.user_db().Restore(users);
  pair_.post_db().Restore(posts);
  pair_.StartPosts();
  pair_.StartUsers();
  ExpectLost(pair_.user_app().service(), "user-service", TryCreateUser("emil"));
  EXPECT_EQ(RepairOf(Posts()).given_up, 1);
  if (!CheckOf(Users()).is_clean()) RepairOf(Users());
  ExpectSound();
}

// A copy of post-service that was taken while a cascade removed its rows.
TEST_P(RestoreTest, ACopyThatWasTakenDuringACascade) {
  pair_.CreatePosts(bob_, 100);
  pair_.hold_reclaim = true;
  pair_.Delete(bob_);
  ASSERT_TRUE(WaitFor([&] { return pair_.post_db().Number("SELECT state FROM user_refs WHERE id = 2") == 3; }));
  const std::string backup = pair_.post_db().Backup();
  pair_.hold_reclaim = false;
  pair_.AwaitState(bob_, user::v1::DELETION_STATE_COMPLETED);
  pair_.AwaitQuiet();
  RestorePosts(backup);
  ExpectLost(pair_.post_app().service(), "post-service", pair_.TryCreatePost(ada_));
  RepairOf(Users());
  ExpectSound();
}

// A new database has another identity. Once the pair is ended by hand, a repair does the rest.
TEST_P(RestoreTest, UserServiceIsEmptied) {
  pair_.StopUsers();
  pair_.StopPosts();
  pair_.user_db().Clear();
  pair_.StartUsers();
  pair_.StartPosts();
  EXPECT_THAT(pair_.TryCreatePost(99), GrpcError(StatusCode::UNAVAILABLE, "PEER_UNAVAILABLE"));
  // It would give ids that post-service still refers to.
  EXPECT_THAT(TryCreateUser("new"), kMismatch);
  EXPECT_THAT(pair_.post_app().service().pairing().Unpair(Call::Background(absl::Seconds(60))), IsOk());
  EXPECT_TRUE(WaitFor([&] { return pair_.post_app().service().pairing().has_met(); }));
  EXPECT_TRUE(WaitFor([&] { return CheckOf(Posts()).needs_repair; }));
  EXPECT_EQ(RepairOf(Posts()).given_up, 2);
  EXPECT_THAT(pair_.TryGetPost(post_), GrpcError(StatusCode::NOT_FOUND, "POST_NOT_FOUND"));
  if (!CheckOf(Users()).is_clean()) RepairOf(Users());
  ExpectSound();
  EXPECT_GT(pair_.CreateUser("new"), bob_);
}

TEST_P(RestoreTest, AFeedThatIsTrimmedBeyondTheCheckpoint) {
  pair_.StopPosts();
  pair_.Delete(bob_);
  pair_.CreateUser("carl");
  ASSERT_TRUE(
      WaitFor([&] { return pair_.user_db().Number("SELECT COUNT(*) FROM outbox WHERE sequence IS NULL") == 0; }));
  pair_.user_db().Run("DELETE FROM outbox");
  pair_.user_db().Run("UPDATE feed SET floor = head");
  pair_.StartPosts();
  EXPECT_TRUE(WaitFor([&] {
    return MetricOf(pair_.post_app().service().metrics(), "crosskey_history_mismatch", {{"service", "user-service"}}) ==
           1;
  }));
  // Nothing is lost at user-service, so it takes writes. Its events do not end the state.
  pair_.CreateUser("dora");
  EXPECT_TRUE(CheckOf(Posts()).needs_repair);
  EXPECT_EQ(RepairOf(Posts()).given_up, 1);
  EXPECT_THAT(pair_.TryGetPost(of_bob_), GrpcError(StatusCode::NOT_FOUND, "POST_NOT_FOUND"));
  ExpectSound();
}

TEST_P(RestoreTest, APoisonEvent) {
  pair_.user_db().Run(
      "INSERT INTO outbox (event_id, type, subject, time, traceparent, payload) VALUES "
      "('00000000-0000-4000-8000-000000000001', 'user.v1.UserDeleted', 'users/9', 1, '', 'x')");
  pair_.Delete(bob_);
  EXPECT_TRUE(WaitFor([&] {
    return MetricOf(pair_.post_app().service().metrics(), "crosskey_consumer_stalled", {{"feed", "user-service"}}) == 1;
  }));
  EXPECT_TRUE(CheckOf(Posts()).needs_repair);
  RepairOf(Posts());
  pair_.AwaitState(bob_, user::v1::DELETION_STATE_COMPLETED);
  ExpectSound();
}

// The file of a running service cannot be replaced.
class RestoreOnServer : public RestoredPair {};
CROSSKEY_ON_EVERY_SERVER(RestoreOnServer);

// A database that is restored under a running service.
TEST_P(RestoreOnServer, AHeadThatGoesBack) {
  const std::string backup = pair_.user_db().Backup();
  for (int i = 0; i < 5; ++i) pair_.CreateUser(absl::StrCat("more ", i));
  pair_.AwaitQuiet();
  ASSERT_TRUE(
      WaitFor([&] { return MetricOf(pair_.user_app().service().metrics(), "crosskey_feed_head_sequence") >= 7; }));
  pair_.user_db().Restore(backup);
  EXPECT_TRUE(WaitFor([&] { return !pair_.user_app().service().history().MayGoOn().ok(); }));
  RepairOf(Posts());
  ExpectSound();
}

}  // namespace
}  // namespace crosskey::testing
