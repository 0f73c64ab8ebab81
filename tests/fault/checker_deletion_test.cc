// Tests the checker of histories in the same way as checker_test.cc: what goes with the deletion of users.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fault/checker_fixture.h"

namespace crosskey::testing {
namespace {

using ::relation::v1::REFERENTIAL_ACTION_CASCADE;
using ::relation::v1::REFERENTIAL_ACTION_RESTRICT;
using ::testing::Contains;
using ::testing::IsEmpty;
using user::v1::DELETION_STATE_COMPLETED;
using user::v1::DELETION_STATE_INTENT;
using user::v1::DELETION_STATE_PENDING;
using user::v1::DELETION_STATE_REFUSED;

TEST_F(CheckerTest, RestrictThatTookAPost) {
  Delete(20, kAda, REFERENTIAL_ACTION_RESTRICT);
  Gone(kAda, REFERENTIAL_ACTION_RESTRICT, 0);
  EXPECT_THAT(Found(), Contains(Broken::kRestrictTookPost));
  Lose(Call(Op::kDeletePost, 22, 0, 11));
  EXPECT_THAT(Found(), IsEmpty());
  history.back().begin = 26;
  EXPECT_THAT(Found(), Contains(Broken::kRestrictTookPost)) << "the deletion of the post came too late";
}

TEST_F(CheckerTest, RestrictThatSaysItselfThatItTookPosts) {
  Lose(Delete(20, kAda));
  Gone(kAda, REFERENTIAL_ACTION_RESTRICT, 1);
  EXPECT_THAT(Found(), Contains(Broken::kRestrictTookPost));
}

TEST_F(CheckerTest, AWriteAfterTheDeletion) {
  Delete(10, kAda);
  Gone(kAda);
  Create(14, kAda, 13, 103);
  EXPECT_THAT(Found(), IsEmpty()) << "both at the same time: hidden with the others";
  history.back().begin = 16;
  EXPECT_THAT(Found(), Contains(Broken::kWriteAfterDelete));
}

TEST_F(CheckerTest, WhileADeletionIsPendingPostsAreTakenAndShown) {
  Delete(10, kAda, REFERENTIAL_ACTION_CASCADE, DELETION_STATE_PENDING);
  Gone(kAda);
  Create(20, kAda, 13, 103);
  Call(Op::kGetPost, 30, 0, 11).rows = {{11, kAda, 101}};
  EXPECT_THAT(Found(), IsEmpty());
  Entry& look = Call(Op::kGetUserDeletion, 18, kAda);
  look.deletion_id = 6;
  look.taken = REFERENTIAL_ACTION_CASCADE;
  look.state = DELETION_STATE_COMPLETED;
  EXPECT_THAT(Found(), Contains(Broken::kReadAfterDelete));
}

TEST_F(CheckerTest, AMoveToAUserAfterItsDeletion) {
  Delete(10, kAda);
  Gone(kAda);
  after.posts.erase(12);
  Call(Op::kUpdatePost, 14, kAda, 12).rows = {{12, kAda, 102}};
  EXPECT_THAT(Found(), IsEmpty());
  history.back().begin = 16;
  EXPECT_THAT(Found(), Contains(Broken::kWriteAfterDelete));
}

TEST_F(CheckerTest, AReadAfterTheDeletion) {
  Delete(10, kAda);
  Gone(kAda);
  Call(Op::kListPosts, 14, kAda).rows = {{11, kAda, 101}};
  EXPECT_THAT(Found(), IsEmpty());
  history.back().begin = 16;
  EXPECT_THAT(Found(), Contains(Broken::kReadAfterDelete));
}

TEST_F(CheckerTest, AListThatShowsSomePostsOfADeletedUser) {
  Create(10, kAda, 13, 103);
  Lose(Delete(20, kAda));
  Gone(kAda);
  Entry& list = Call(Op::kListPosts, 30, kAda);
  list.rows = {{11, kAda, 101}, {13, kAda, 103}};
  EXPECT_THAT(Found(), IsEmpty());
  list.rows.pop_back();
  EXPECT_THAT(Found(), Contains(Broken::kPartial));
  Lose(Call(Op::kDeletePost, 21, 0, 13));
  EXPECT_THAT(Found(), IsEmpty()) << "that one may have been deleted by itself";
}

TEST_F(CheckerTest, APostShownAfterAnotherOfItsUserHasGone) {
  Create(10, kAda, 13, 103);
  Lose(Delete(20, kAda));
  Gone(kAda);
  Fail(Call(Op::kGetPost, 30, 0, 13), grpc::StatusCode::NOT_FOUND, "POST_NOT_FOUND");
  Call(Op::kGetPost, 34, 0, 11).rows = {{11, kAda, 101}};
  EXPECT_THAT(Found(), IsEmpty()) << "both at the same time";
  history.back().begin = 36;
  EXPECT_THAT(Found(), Contains(Broken::kPartial));
}

TEST_F(CheckerTest, AUserThatComesBack) {
  Delete(10, kAda);
  Gone(kAda);
  Call(Op::kGetUser, 14, kAda).uid = "uid-ada";
  EXPECT_THAT(Found(), IsEmpty());
  history.back().begin = 16;
  EXPECT_THAT(Found(), Contains(Broken::kUserCameBack));
  history.pop_back();
  after.users[kAda] = after.user_refs[kAda] = "uid-ada";
  EXPECT_THAT(Found(), Contains(Broken::kUserCameBack));
}

TEST_F(CheckerTest, AUserOfLongAgoThatComesBack) {
  before.last_user = 3;
  after.users[4] = "uid-4";
  EXPECT_THAT(Found(), IsEmpty()) << "created by a call of unknown outcome";
  after.users[3] = "uid-3";
  EXPECT_THAT(Found(), Contains(Broken::kUserCameBack));
}

TEST_F(CheckerTest, AnIdThatIsGivenTwice) {
  after.posts[13] = {13, kAda, 103};
  Create(10, kAda, 13, 103);
  EXPECT_THAT(Found(), IsEmpty());
  before.last_post = 13;
  EXPECT_THAT(Found(), Contains(Broken::kIdReused));
}

TEST_F(CheckerTest, AUidThatIsGivenTwiceOrChanges) {
  after.users[3] = "uid-eve";
  Call(Op::kCreateUser, 10, 3).uid = "uid-eve";
  Call(Op::kGetUser, 20, 3).uid = "uid-eve";
  EXPECT_THAT(Found(), IsEmpty());
  history.back().uid = "uid-other";
  EXPECT_THAT(Found(), Contains(Broken::kIdReused));
  history.pop_back();
  history.back().uid = "uid-ada";
  EXPECT_THAT(Found(), Contains(Broken::kIdReused));
}

TEST_F(CheckerTest, ADeletionThatDoesNotEnd) {
  Lose(Delete(10, kAda, REFERENTIAL_ACTION_RESTRICT));
  after.deletions[6] = {kAda, REFERENTIAL_ACTION_RESTRICT, DELETION_STATE_INTENT, 0};
  EXPECT_THAT(Found(), Contains(Broken::kDeletion));
  after.deletions[6].state = DELETION_STATE_REFUSED;
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(CheckerTest, ADeletionThatGoesBack) {
  Delete(10, kAda);
  Gone(kAda);
  Entry& look = Call(Op::kGetUserDeletion, 14, kAda);
  look.deletion_id = 6;
  look.taken = REFERENTIAL_ACTION_CASCADE;
  look.state = DELETION_STATE_INTENT;
  EXPECT_THAT(Found(), IsEmpty());
  look.begin = 16;
  EXPECT_THAT(Found(), Contains(Broken::kDeletion));
}

TEST_F(CheckerTest, ADeletionByAnotherActionOrOfWhichThereIsNoRecord) {
  Delete(10, kAda);
  Gone(kAda);
  history.back().action = REFERENTIAL_ACTION_RESTRICT;
  EXPECT_THAT(Found(), Contains(Broken::kDeletion));
  history.back().action = ::relation::v1::REFERENTIAL_ACTION_UNSPECIFIED;
  EXPECT_THAT(Found(), IsEmpty()) << "the declared action";
  after.deletions.clear();
  EXPECT_THAT(Found(), Contains(Broken::kDeletion));
}

}  // namespace
}  // namespace crosskey::testing
