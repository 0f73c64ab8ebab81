// One of the two services is away.
#include <gtest/gtest.h>

#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using ::relation::v1::REFERENTIAL_ACTION_CASCADE;
using ::relation::v1::REFERENTIAL_ACTION_RESTRICT;

class OutageTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(OutageTest);

const auto kPeerUnavailable = GrpcError(grpc::StatusCode::UNAVAILABLE, "PEER_UNAVAILABLE");

TEST_P(OutageTest, ACascadeIsPendingWithoutPostServiceAndCompletesAfterItsRestart) {
  Pair pair(GetParam());
  const int64_t user = pair.CreateUser("ada");
  const int64_t post = pair.CreatePost(user);
  pair.StopPosts();
  user::v1::UserDeletion deletion;
  ASSERT_THAT(pair.TryDelete(user, REFERENTIAL_ACTION_CASCADE, &deletion), GrpcOk());
  EXPECT_EQ(deletion.state(), user::v1::DELETION_STATE_PENDING);
  EXPECT_NE(deletion.blocked_reason(), "");
  EXPECT_THAT(pair.TryGetUser(user), GrpcError(grpc::StatusCode::NOT_FOUND, "USER_NOT_FOUND"));

  // A deletion with the same action joins this one.
  user::v1::UserDeletion joined;
  ASSERT_THAT(pair.TryDelete(user, REFERENTIAL_ACTION_CASCADE, &joined), GrpcOk());
  EXPECT_EQ(joined.deletion_id(), deletion.deletion_id());

  pair.StartPosts();
  pair.AwaitState(user, user::v1::DELETION_STATE_COMPLETED);
  EXPECT_EQ(pair.GetDeletion(user).posts(), 1);
  EXPECT_EQ(pair.GetDeletion(user).blocked_reason(), "");
  EXPECT_THAT(pair.TryGetPost(post), GrpcError(grpc::StatusCode::NOT_FOUND, "POST_NOT_FOUND"));
  pair.AwaitQuiet();
  EXPECT_EQ(pair.Orphans(), 0);
}

TEST_P(OutageTest, RestrictIsUnavailableWithoutPostServiceAndNothingHasChanged) {
  Pair pair(GetParam());
  const int64_t user = pair.CreateUser("ada");
  pair.StopPosts();
  EXPECT_THAT(pair.TryDelete(user, REFERENTIAL_ACTION_RESTRICT), kPeerUnavailable);
  user::v1::User seen;
  ASSERT_THAT(pair.TryGetUser(user, &seen), GrpcOk());
  EXPECT_EQ(seen.state(), user::v1::USER_STATE_ACTIVE);
  EXPECT_EQ(pair.user_db().Number("SELECT COUNT(*) FROM user_deletions"), 0);
}

TEST_P(OutageTest, APreviewNeedsPostService) {
  Pair pair(GetParam());
  const int64_t user = pair.CreateUser("ada");
  pair.StopPosts();
  user::v1::DeleteUserRequest request;
  request.set_id(user);
  request.set_validate_only(true);
  user::v1::DeleteUserResponse response;
  EXPECT_THAT(Invoke(pair.users(), &user::v1::UserService::Stub::DeleteUser, request, &response), kPeerUnavailable);
}

TEST_P(OutageTest, PostsOfKnownUsersGoOnWithoutUserServiceAndUnknownOnesAreRefused) {
  Pair pair(GetParam());
  const int64_t known = pair.CreateUser("ada");
  pair.CreatePost(known);
  pair.StopUsers();
  EXPECT_THAT(pair.TryCreatePost(known), GrpcOk());
  EXPECT_THAT(pair.TryCreatePost(known + 1), kPeerUnavailable);
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM posts"), 2);
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM user_refs"), 1);

  post::v1::ListPostsRequest request;
  request.set_include_users(true);
  post::v1::ListPostsResponse response;
  EXPECT_THAT(Invoke(pair.posts(), &post::v1::PostService::Stub::ListPosts, request, &response), kPeerUnavailable);
  request.set_include_users(false);
  EXPECT_THAT(Invoke(pair.posts(), &post::v1::PostService::Stub::ListPosts, request, &response), GrpcOk());
}

TEST_P(OutageTest, AnEventFillsTheReferenceAheadOfTheFirstPost) {
  Pair pair(GetParam());
  const int64_t user = pair.CreateUser("ada");
  pair.AwaitQuiet();
  pair.StopUsers();
  EXPECT_THAT(pair.TryCreatePost(user), GrpcOk());
}

TEST_P(OutageTest, AnUnfinishedDeletionIsFinishedByTheRecovery) {
  // Makes the rows that a crash between intent and release leaves: the user is DELETING, and the record an INTENT.
  Pair pair(GetParam(), false);
  pair.hold_recovery = true;
  pair.StartUsers();
  pair.StartPosts();
  const int64_t cascade = pair.CreateUser("cascade");
  const int64_t restrict_free = pair.CreateUser("restrict-free");
  const int64_t restrict_held = pair.CreateUser("restrict-held");
  pair.CreatePost(cascade);
  pair.CreatePost(restrict_held);
  for (const auto& [user, action] : {std::pair(cascade, 2), std::pair(restrict_free, 1), std::pair(restrict_held, 1)}) {
    const std::string id = std::to_string(user);
    pair.user_db().Run(
        "INSERT INTO user_deletions (user_id, uid, action, state, blocked_reason, create_time) "
        "SELECT id, uid, " +
        std::to_string(action) + ", 1, '', create_time FROM users WHERE id = " + id);
    pair.user_db().Run("UPDATE users SET state = 2 WHERE id = " + id);
  }
  user::v1::User seen;
  ASSERT_THAT(pair.TryGetUser(cascade, &seen), GrpcOk());
  EXPECT_EQ(seen.state(), user::v1::USER_STATE_DELETING);
  EXPECT_THAT(pair.TryDelete(cascade, REFERENTIAL_ACTION_RESTRICT),
              GrpcError(grpc::StatusCode::ABORTED, "PARENT_DELETING"));

  pair.clock_offset_seconds = 10;  // now they are older than the age at which the recovery takes them up
  pair.hold_recovery = false;
  pair.AwaitState(cascade, user::v1::DELETION_STATE_COMPLETED);
  pair.AwaitState(restrict_free, user::v1::DELETION_STATE_COMPLETED);
  pair.AwaitState(restrict_held, user::v1::DELETION_STATE_REFUSED);
  ASSERT_THAT(pair.TryGetUser(restrict_held, &seen), GrpcOk());
  EXPECT_EQ(seen.state(), user::v1::USER_STATE_ACTIVE);
  EXPECT_THAT(pair.TryCreatePost(restrict_held), GrpcOk());
  pair.AwaitQuiet();
  EXPECT_EQ(pair.Orphans(), 0);
}

TEST_P(OutageTest, AReleaseThatComesAfterEverythingIsOverLeavesNothingBehind) {
  Pair pair(GetParam());
  const int64_t user = pair.CreateUser("ada");
  pair.CreatePost(user);
  user::v1::User before;
  ASSERT_THAT(pair.TryGetUser(user, &before), GrpcOk());
  const auto deletion = pair.Delete(user);
  pair.AwaitState(user, user::v1::DELETION_STATE_COMPLETED);
  pair.AwaitQuiet();

  ::relation::v1::ReleaseReferencedRequest late;
  late.set_type("user.v1.User");
  late.set_id(user);
  late.set_uid(before.uid());
  late.set_deletion_id(deletion.deletion_id());
  late.set_as_of_sequence(0);
  ::relation::v1::ReleaseReferencedResponse response;
  EXPECT_THAT(
      Invoke(pair.post_references(), &::relation::v1::ReferenceService::Stub::ReleaseReferenced, late, &response),
      GrpcError(grpc::StatusCode::ABORTED, "CONFLICT"));
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM user_refs"), 0);
}

}  // namespace
}  // namespace crosskey::testing
