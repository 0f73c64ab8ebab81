// Tests the checker of histories in the same way as checker_test.cc: pins, and writes that are sent again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fault/checker_fixture.h"

namespace crosskey::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(CheckerTest, AnAcknowledgedPinThatIsNotStored) {
  Pin(10, kAda, 12);
  EXPECT_THAT(Found(), ElementsAre(Broken::kPinLost));
  Lose(Pin(12, kAda, 0));
  EXPECT_THAT(Found(), IsEmpty());
  history.pop_back();
  StorePin(after, kAda, 12);
  EXPECT_THAT(Found(), IsEmpty());
  StorePin(after, kAda, 11);
  EXPECT_THAT(Found(), ElementsAre(Broken::kPinLost)) << "another one";
}

TEST_F(CheckerTest, APinThatIsStoredAlthoughItWasTakenAway) {
  StorePin(before, kAda, 12);
  StorePin(after, kAda, 12);
  EXPECT_THAT(Found(), IsEmpty());
  Pin(10, kAda, 0);
  EXPECT_THAT(Found(), ElementsAre(Broken::kPinLost));
  Lose(Pin(2, kAda, 12));
  EXPECT_THAT(Found(), IsEmpty()) << "done late";
}

TEST_F(CheckerTest, APinThatIsGoneWithItsPost) {
  StorePin(before, kAda, 12);
  EXPECT_THAT(Found(), ElementsAre(Broken::kPinLost));
  Call(Op::kDeletePost, 10, 0, 12);
  after.posts.erase(12);
  EXPECT_THAT(Found(), IsEmpty());
  Pin(20, kAda, 11);
  EXPECT_THAT(Found(), ElementsAre(Broken::kPinLost)) << "it was another one that has gone";
}

TEST_F(CheckerTest, APinOfNoPost) {
  Lose(Pin(10, kAda, 12));
  Lose(Call(Op::kDeletePost, 10, 0, 12));
  StorePin(after, kAda, 12);
  EXPECT_THAT(Found(), IsEmpty());
  after.posts.erase(12);
  after.post_refs.clear();
  EXPECT_THAT(Found(), ElementsAre(Broken::kOrphan));
}

TEST_F(CheckerTest, APostThatIsPinnedTwice) {
  Pin(10, kAda, 12);
  Lose(Pin(10, kBob, 12));
  StorePin(after, kAda, 12);
  EXPECT_THAT(Found(), IsEmpty());
  StorePin(after, kBob, 12);
  EXPECT_THAT(Found(), ElementsAre(Broken::kPinnedTwice));
}

TEST_F(CheckerTest, AUserShownWithAPinThatCannotBe) {
  StorePin(after, kAda, 12);
  Pin(10, kAda, 12);
  Entry& read = Call(Op::kGetUser, 14, kAda);
  read.uid = "uid-ada";
  EXPECT_THAT(Found(), IsEmpty());
  read.pin = 12;
  EXPECT_THAT(Found(), IsEmpty());
  read.pin = 11;
  EXPECT_THAT(Found(), ElementsAre(Broken::kPinLost));
  read.pin = 0;
  read.begin = 16;
  EXPECT_THAT(Found(), ElementsAre(Broken::kPinLost));
  Lose(Call(Op::kDeletePost, 18, 0, 12));
  EXPECT_THAT(Found(), IsEmpty()) << "cleared, perhaps";
}

TEST_F(CheckerTest, APinThatIsNotWhatWasAskedFor) {
  StorePin(after, kAda, 12);
  Pin(10, kAda, 12).pin = 0;
  EXPECT_THAT(Found(), Contains(Broken::kPinLost));
}

TEST_F(CheckerTest, APinRefusedWithoutReason) {
  Fail(Pin(10, kAda, 12), grpc::StatusCode::FAILED_PRECONDITION, "FOREIGN_KEY_VIOLATION");
  EXPECT_THAT(Found(), ElementsAre(Broken::kFalseRefusal));
  Lose(Delete(12, kBob));
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(CheckerTest, APinRefusedBecauseOfAnotherThatIsNone) {
  Fail(Pin(10, kAda, 12), grpc::StatusCode::ALREADY_EXISTS, "ALREADY_PINNED");
  EXPECT_THAT(Found(), ElementsAre(Broken::kFalseRefusal));
  Lose(Pin(12, kBob, 12));
  EXPECT_THAT(Found(), IsEmpty());
  history.back().begin = 16;
  EXPECT_THAT(Found(), ElementsAre(Broken::kFalseRefusal)) << "it came later";
}

TEST_F(CheckerTest, APinRefusedBecauseOfADeletionThatNobodyBegan) {
  Fail(Pin(10, kAda, 12), grpc::StatusCode::ABORTED, "PARENT_DELETING");
  Fail(Pin(20, kAda, 0), grpc::StatusCode::ABORTED, "PARENT_DELETING");
  EXPECT_THAT(Found(), ElementsAre(Broken::kFalseRefusal, Broken::kFalseRefusal));
  Fail(Delete(12, kAda), grpc::StatusCode::FAILED_PRECONDITION, "RESTRICTED");
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(CheckerTest, APinOfAUserThatIsNotFoundOrIsDeleted) {
  Fail(Pin(10, kAda, 12), grpc::StatusCode::NOT_FOUND, "USER_NOT_FOUND");
  EXPECT_THAT(Found(), ElementsAre(Broken::kUserLost));
  Delete(12, kAda);
  Gone(kAda);
  EXPECT_THAT(Found(), IsEmpty());
  Pin(16, kAda, 0);
  EXPECT_THAT(Found(), IsEmpty());
  history.back().begin = 18;
  EXPECT_THAT(Found(), ElementsAre(Broken::kUserCameBack));
}

TEST_F(CheckerTest, AWriteThatIsAnsweredOtherwiseTheSecondTime) {
  Entry& deleted = Call(Op::kDeletePost, 10, 0, 11);
  deleted.repeats = 1;
  after.posts.erase(11);
  EXPECT_THAT(Found(), IsEmpty());
  deleted.another_answer = "5 POST_NOT_FOUND";
  EXPECT_THAT(Found(), ElementsAre(Broken::kRepeated));
}

TEST_F(CheckerTest, APostThatOneRequestCreatedTwice) {
  Create(10, kAda, 13, 103).sends = 2;
  after.posts[13] = {13, kAda, 103};
  EXPECT_THAT(Found(), IsEmpty());
  after.posts[14] = {14, kAda, 104};
  EXPECT_THAT(Found(), IsEmpty()) << "another request, whose answer was lost";
  after.posts[14] = {14, kAda, 103};
  EXPECT_THAT(Found(), ElementsAre(Broken::kRepeated));
}

TEST_F(CheckerTest, APostThatOneRequestCreatedTwiceAndOfWhichOneHasGone) {
  Create(10, kAda, 13, 103);
  after.posts[13] = {13, kAda, 103};
  Call(Op::kListPosts, 14, kAda).rows = {{11, kAda, 101}, {13, kAda, 103}};
  EXPECT_THAT(Found(), IsEmpty());
  history.back().rows.push_back({14, kAda, 103});
  EXPECT_THAT(Found(), ElementsAre(Broken::kRepeated));
}

}  // namespace
}  // namespace crosskey::testing
