// Tests the checker of histories in the same way as checker_test.cc: likes, and the like_count of posts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fault/checker_fixture.h"

namespace crosskey::testing {
namespace {

using ::relation::v1::REFERENTIAL_ACTION_CASCADE;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(CheckerTest, AnAcknowledgedLikeThatIsNotStored) {
  Like(10, kBob, 11);
  EXPECT_THAT(Found(), ElementsAre(Broken::kLikeLost));
  Lose(Unlike(12, kBob, 11));
  EXPECT_THAT(Found(), IsEmpty()) << "taken back, perhaps";
  history.back().begin = 1;
  history.back().end = 5;
  history.back().outcome = Outcome::kOk;
  EXPECT_THAT(Found(), ElementsAre(Broken::kLikeLost)) << "but before";
  history.pop_back();
  Store(after, 11, kBob);
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(CheckerTest, ALikeThatIsStoredAlthoughItWasTakenBack) {
  Store(before, 11, kBob);
  Store(after, 11, kBob);
  Unlike(10, kBob, 11);
  EXPECT_THAT(Found(), ElementsAre(Broken::kLikeLost));
  Lose(Like(12, kBob, 11));
  EXPECT_THAT(Found(), IsEmpty());
  history.pop_back();
  Unstore(after, 11, kBob);
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(CheckerTest, ALikeThatNobodyGave) {
  Store(after, 11, kBob);
  EXPECT_THAT(Found(), ElementsAre(Broken::kLikeLost));
  Store(before, 11, kBob);
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(CheckerTest, ALikeThatIsGoneWithItsPostOrItsUser) {
  Store(before, 11, kBob);
  Store(before, 12, kAda);
  EXPECT_THAT(Found(), ElementsAre(Broken::kLikeLost, Broken::kLikeLost));
  Delete(20, kAda);
  Gone(kAda);
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(CheckerTest, ALikeThatRefersToNobody) {
  Store(before, 11, kBob);
  Store(after, 11, kBob);
  Store(after, 12, kAda);
  Lose(Like(10, kAda, 12));
  EXPECT_THAT(Found(), IsEmpty());
  Lose(Delete(20, kAda));
  Gone(kAda);
  EXPECT_THAT(Found(), Contains(Broken::kOrphan)) << "one of her post, and one of her own";
  after.likes.erase({11, kBob});
  EXPECT_THAT(Found(), ElementsAre(Broken::kOrphan));
  Unstore(after, 12, kAda);
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(CheckerTest, APostThatIsLeftHiddenOrAReferenceToNoPost) {
  after.hidden_posts = 1;
  EXPECT_THAT(Found(), ElementsAre(Broken::kOrphan));
  after.hidden_posts = 0;
  after.post_refs.insert(13);
  EXPECT_THAT(Found(), ElementsAre(Broken::kOrphan));
  after.post_refs = {11};
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(CheckerTest, ALikeRefusedWithoutReason) {
  Fail(Like(10, kBob, 11), grpc::StatusCode::FAILED_PRECONDITION, "FOREIGN_KEY_VIOLATION");
  EXPECT_THAT(Found(), ElementsAre(Broken::kFalseRefusal));
  Lose(Call(Op::kDeletePost, 12, 0, 11));
  EXPECT_THAT(Found(), IsEmpty());
  history.pop_back();
  Lose(Delete(12, kAda));
  EXPECT_THAT(Found(), IsEmpty()) << "the author";
  history.back().user = kBob;
  EXPECT_THAT(Found(), IsEmpty()) << "who likes it";
  history.back().begin = 16;
  EXPECT_THAT(Found(), ElementsAre(Broken::kFalseRefusal));
}

TEST_F(CheckerTest, ALikeAfterTheDeletionOfItsUserOrItsAuthor) {
  Delete(10, kAda);
  Gone(kAda);
  Like(14, kAda, 12);
  Like(14, kBob, 11);
  EXPECT_THAT(Found(), IsEmpty()) << "both at the same time: gone with the others";
  history.back().begin = 16;
  EXPECT_THAT(Found(), ElementsAre(Broken::kWriteAfterDelete));
  history.pop_back();
  history.back().begin = 16;
  EXPECT_THAT(Found(), ElementsAre(Broken::kWriteAfterDelete));
  history.back().op = Op::kUnlikePost;
  EXPECT_THAT(Found(), IsEmpty()) << "there is nothing to take back";
}

TEST_F(CheckerTest, ALikeOfADeletedPost) {
  Call(Op::kDeletePost, 10, 0, 11);
  after.posts.erase(11);
  Like(14, kBob, 11);
  EXPECT_THAT(Found(), IsEmpty());
  history.back().begin = 16;
  EXPECT_THAT(Found(), ElementsAre(Broken::kDeletedPostShown));
}

TEST_F(CheckerTest, AListThatShowsTheLikeOfADeletedUser) {
  Store(before, 12, kAda);
  Delete(10, kAda);
  Gone(kAda);
  Entry& list = Call(Op::kListPostLikes, 14, 0, 12);
  list.likers = {kAda};
  EXPECT_THAT(Found(), IsEmpty());
  list.begin = 16;
  EXPECT_THAT(Found(), ElementsAre(Broken::kReadAfterDelete));
  list.likers = {};
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(CheckerTest, ALikeShownAfterAPostOfItsUserHasGone) {
  Store(before, 12, kAda);
  Lose(Delete(10, kAda));
  Gone(kAda);
  Fail(Call(Op::kGetPost, 20, 0, 11), grpc::StatusCode::NOT_FOUND, "POST_NOT_FOUND");
  Entry& list = Call(Op::kListPostLikes, 24, 0, 12);
  list.likers = {kAda};
  EXPECT_THAT(Found(), IsEmpty());
  list.begin = 26;
  EXPECT_THAT(Found(), ElementsAre(Broken::kPartial));
}

TEST_F(CheckerTest, AListOfLikesThatIsNotUpToDate) {
  Store(after, 11, kBob);
  Like(10, kBob, 11);
  Entry& list = Call(Op::kListPostLikes, 14, 0, 11);
  EXPECT_THAT(Found(), IsEmpty());
  list.begin = 16;
  EXPECT_THAT(Found(), ElementsAre(Broken::kLikeLost));
  list.whole_list = false;
  EXPECT_THAT(Found(), IsEmpty());
  list.likers = {kBob};
  EXPECT_THAT(Found(), IsEmpty());
  list.likers = {kAda};
  EXPECT_THAT(Found(), ElementsAre(Broken::kLikeLost)) << "she never did";
}

TEST_F(CheckerTest, AListOfLikedPostsThatIsNotUpToDate) {
  Store(after, 11, kBob);
  Like(10, kBob, 11);
  Entry& list = Call(Op::kListLikedPosts, 14, kBob);
  EXPECT_THAT(Found(), IsEmpty());
  list.begin = 16;
  EXPECT_THAT(Found(), ElementsAre(Broken::kLikeLost));
  list.rows = {{11, kAda, 101, 1}};
  EXPECT_THAT(Found(), IsEmpty());
  list.rows = {{11, kAda, 101, 1}, {12, kBob, 102, 0}};
  EXPECT_THAT(Found(), ElementsAre(Broken::kLikeLost)) << "the second";
}

TEST_F(CheckerTest, APostThatIsNotFoundByAListOfItsLikes) {
  Fail(Call(Op::kListPostLikes, 10, 0, 11), grpc::StatusCode::NOT_FOUND, "POST_NOT_FOUND");
  EXPECT_THAT(Found(), ElementsAre(Broken::kPostLost));
  Lose(Delete(12, kAda, REFERENTIAL_ACTION_CASCADE));
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(CheckerTest, AListOfTheLikesOfADeletedPost) {
  Call(Op::kDeletePost, 10, 0, 11);
  after.posts.erase(11);
  Call(Op::kListPostLikes, 14, 0, 11);
  EXPECT_THAT(Found(), IsEmpty());
  history.back().begin = 16;
  EXPECT_THAT(Found(), ElementsAre(Broken::kDeletedPostShown));
}

TEST_F(CheckerTest, ACountThatIsNotTheNumberOfLikes) {
  Store(before, 11, kBob);
  Store(after, 11, kBob);
  EXPECT_THAT(Found(), IsEmpty());
  after.posts[11].likes = 2;
  EXPECT_THAT(Found(), ElementsAre(Broken::kCount));
}

TEST_F(CheckerTest, ACountShownThatCannotBe) {
  Store(after, 11, kBob);
  Like(10, kBob, 11);
  Entry& read = Call(Op::kGetPost, 14, 0, 11);
  for (const int64_t likes : {0, 1}) {
    read.rows = {{11, kAda, 101, likes}};
    EXPECT_THAT(Found(), IsEmpty()) << likes;
  }
  read.rows = {{11, kAda, 101, 2}};
  EXPECT_THAT(Found(), ElementsAre(Broken::kCount));
  read.begin = 16;
  read.rows = {{11, kAda, 101, 0}};
  EXPECT_THAT(Found(), ElementsAre(Broken::kCount));
}

TEST_F(CheckerTest, ACountThatStillHasTheLikeOfADeletedUser) {
  Store(before, 12, kAda);
  after = before;
  Delete(10, kAda);
  Unstore(after, 12, kAda);
  Gone(kAda);
  Entry& read = Call(Op::kGetPost, 14, 0, 12);
  read.rows = {{12, kBob, 102, 1}};
  EXPECT_THAT(Found(), IsEmpty());
  read.begin = 16;
  EXPECT_THAT(Found(), ElementsAre(Broken::kCount));
}

}  // namespace
}  // namespace crosskey::testing
