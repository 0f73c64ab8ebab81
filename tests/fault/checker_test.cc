// Tests that the checker finds what is wrong, and only that. For each kind of violation there is a history that has to
// be reported, and one that is nearly the same and could have happened.
#include "tests/workload/checker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fault/checker_fixture.h"

namespace crosskey::testing {
namespace {

using ::relation::v1::REFERENTIAL_ACTION_RESTRICT;
using ::testing::Contains;
using ::testing::IsEmpty;

TEST_F(CheckerTest, NothingIsWrongWithNothing) { EXPECT_THAT(Found(), IsEmpty()); }

TEST_F(CheckerTest, AnErrorThatIsNotDocumented) {
  Entry& entry = Call(Op::kGetUser, 10, kAda);
  Fail(entry, grpc::StatusCode::UNAVAILABLE, "PEER_UNAVAILABLE");
  EXPECT_THAT(Found(true), IsEmpty());
  EXPECT_THAT(Found(false), Contains(Broken::kUndocumented));
  Fail(entry, grpc::StatusCode::INTERNAL, "INTERNAL_ERROR");
  EXPECT_THAT(Found(true), Contains(Broken::kUndocumented));
}

TEST_F(CheckerTest, AReferenceRefusedWithoutReason) {
  Fail(Create(10, kAda, 0, 0), grpc::StatusCode::FAILED_PRECONDITION, "FOREIGN_KEY_VIOLATION");
  EXPECT_THAT(Found(), Contains(Broken::kFalseRefusal));
  Lose(Delete(12, kAda));
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(CheckerTest, ARefusalBecauseOfADeletionThatWasRefused) {
  Fail(Create(10, kAda, 0, 0), grpc::StatusCode::ABORTED, "PARENT_DELETING");
  EXPECT_THAT(Found(), Contains(Broken::kFalseRefusal));
  Fail(Delete(12, kAda, REFERENTIAL_ACTION_RESTRICT), grpc::StatusCode::FAILED_PRECONDITION, "RESTRICTED");
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(CheckerTest, AnOrphan) {
  Lose(Delete(10, kAda));
  Gone(kAda);
  EXPECT_THAT(Found(), IsEmpty());
  after.posts[13] = {13, kAda, 103};
  EXPECT_THAT(Found(), Contains(Broken::kOrphan));
  after.posts.erase(13);
  after.user_refs[kAda] = "uid-ada";
  EXPECT_THAT(Found(), Contains(Broken::kOrphan));
}

TEST_F(CheckerTest, AnAcknowledgedPostThatIsNotStored) {
  Create(10, kAda, 13, 103);
  EXPECT_THAT(Found(), Contains(Broken::kPostLost));
  // Its own deletion, even one whose outcome nobody knows, explains it.
  Lose(Call(Op::kDeletePost, 11, 0, 13));
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(CheckerTest, APostThatIsGoneWithAUserThatItMayHaveMovedTo) {
  Entry& moved = Call(Op::kUpdatePost, 10, kBob, 11);
  Lose(moved);
  Delete(20, kBob);
  Gone(kBob);
  after.posts.erase(11);
  EXPECT_THAT(Found(), IsEmpty());
  moved.post = 12;
  EXPECT_THAT(Found(), Contains(Broken::kPostLost));
}

TEST_F(CheckerTest, AReadThatDoesNotFindAnAcknowledgedPost) {
  Fail(Call(Op::kGetPost, 10, 0, 11), grpc::StatusCode::NOT_FOUND, "POST_NOT_FOUND");
  EXPECT_THAT(Found(), Contains(Broken::kPostLost));
  Lose(Call(Op::kDeletePost, 12, 0, 11));
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(CheckerTest, AListWithoutAnAcknowledgedPost) {
  Entry& list = Call(Op::kListPosts, 10, kAda);
  EXPECT_THAT(Found(), Contains(Broken::kPostLost));
  list.whole_list = false;
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(CheckerTest, AUserThatIsGoneAfterARefusedRestrict) {
  Fail(Delete(10, kAda, REFERENTIAL_ACTION_RESTRICT), grpc::StatusCode::FAILED_PRECONDITION, "RESTRICTED");
  Gone(kAda);
  EXPECT_THAT(Found(), Contains(Broken::kUserLost));
  Lose(Delete(20, kAda));
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(CheckerTest, AReadThatDoesNotFindAUserThatNobodyDeletes) {
  Fail(Call(Op::kGetUser, 10, kAda), grpc::StatusCode::NOT_FOUND, "USER_NOT_FOUND");
  EXPECT_THAT(Found(), Contains(Broken::kUserLost));
}

TEST_F(CheckerTest, AnAcknowledgedUserThatIsNotStored) {
  Entry& created = Call(Op::kCreateUser, 10, 3);
  created.uid = "uid-eve";
  EXPECT_THAT(Found(), Contains(Broken::kUserLost));
  after.users[3] = "uid-eve";
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(CheckerTest, AChangeThatIsLost) {
  Call(Op::kUpdatePost, 10, 0, 11).title = 201;
  history.back().rows = {{11, kAda, 201}};
  EXPECT_THAT(Found(), Contains(Broken::kChangeLost));
  after.posts[11].title = 201;
  EXPECT_THAT(Found(), IsEmpty());
  Call(Op::kGetPost, 14, 0, 11).rows = {{11, kAda, 101}};
  EXPECT_THAT(Found(), IsEmpty()) << "the read began before the change was acknowledged";
  history.back().begin = 16;
  EXPECT_THAT(Found(), Contains(Broken::kChangeLost));
}

TEST_F(CheckerTest, AChangeOfUnknownOutcomeMayComeAtAnyTime) {
  Call(Op::kUpdatePost, 10, 0, 11).title = 201;
  Lose(history.back());
  Call(Op::kGetPost, 20, 0, 11).rows = {{11, kAda, 101}};
  Call(Op::kGetPost, 30, 0, 11).rows = {{11, kAda, 201}};
  EXPECT_THAT(Found(), IsEmpty());
  Call(Op::kGetPost, 40, 0, 11).rows = {{11, kAda, 301}};
  EXPECT_THAT(Found(), Contains(Broken::kChangeLost));
}

TEST_F(CheckerTest, ADeletedPostThatIsShownOrStored) {
  Call(Op::kDeletePost, 10, 0, 11);
  EXPECT_THAT(Found(), Contains(Broken::kDeletedPostShown));
  after.posts.erase(11);
  EXPECT_THAT(Found(), IsEmpty());
  Call(Op::kGetPost, 14, 0, 11).rows = {{11, kAda, 101}};
  EXPECT_THAT(Found(), IsEmpty()) << "both at the same time";
  history.back().begin = 16;
  EXPECT_THAT(Found(), Contains(Broken::kDeletedPostShown));
}

}  // namespace
}  // namespace crosskey::testing
