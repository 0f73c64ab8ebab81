// The checker finds what is wrong, and only that: for each kind of violation a history that has to be reported, and one that
// is nearly the same and could have happened.
#include "tests/workload/checker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace crosskey::testing {
namespace {

using ::relation::v1::REFERENTIAL_ACTION_CASCADE;
using ::relation::v1::REFERENTIAL_ACTION_RESTRICT;
using ::testing::Contains;
using ::testing::IsEmpty;
using user::v1::DELETION_STATE_COMPLETED;
using user::v1::DELETION_STATE_INTENT;
using user::v1::DELETION_STATE_PENDING;
using user::v1::DELETION_STATE_RECLAIMING;
using user::v1::DELETION_STATE_REFUSED;

constexpr int64_t kAda = 1;
constexpr int64_t kBob = 2;

// Users ada and bob, each with a post: 11 with title 101, 12 with title 102. The histories go on from here.
class CheckerTest : public ::testing::Test {
 protected:
  CheckerTest() {
    before.users = before.user_refs = {{kAda, "uid-ada"}, {kBob, "uid-bob"}};
    before.posts = {{11, {11, kAda, 101}}, {12, {12, kBob, 102}}};
    before.last_user = 2;
    before.last_post = 12;
    before.last_deletion = 5;
    after = before;
    history.reserve(16);  // Call gives out references
  }

  // A call that takes from `begin` to `begin` + 5.
  Entry& Call(Op op, int64_t begin, int64_t user, int64_t post = 0) {
    Entry& entry = history.emplace_back();
    entry.op = op;
    entry.begin = begin;
    entry.end = begin + 5;
    entry.user = user;
    entry.post = post;
    return entry;
  }
  Entry& Create(int64_t begin, int64_t user, int64_t post, int64_t title) {
    Entry& entry = Call(Op::kCreatePost, begin, user);
    entry.rows = {{post, user, title}};
    return entry;
  }
  Entry& Delete(int64_t begin, int64_t user, ::relation::v1::ReferentialAction action = REFERENTIAL_ACTION_CASCADE,
                user::v1::DeletionState state = DELETION_STATE_RECLAIMING) {
    Entry& entry = Call(Op::kDeleteUser, begin, user);
    entry.action = entry.taken = action;
    entry.deletion_id = 6;
    entry.state = state;
    return entry;
  }
  static void Fail(Entry& entry, grpc::StatusCode code, const std::string& reason) {
    entry.outcome = OutcomeOf(entry.op, code, reason);
    entry.code = code;
    entry.reason = reason;
    entry.rows.clear();
    entry.deletion_id = 0;
    entry.taken = ::relation::v1::REFERENTIAL_ACTION_UNSPECIFIED;
    entry.state = user::v1::DELETION_STATE_UNSPECIFIED;
  }
  static void Lose(Entry& entry) { Fail(entry, grpc::StatusCode::UNAVAILABLE, ""); }

  // What the databases have after a deletion.
  void Gone(int64_t user, ::relation::v1::ReferentialAction action = REFERENTIAL_ACTION_CASCADE, int64_t posts = 1) {
    after.users.erase(user);
    after.user_refs.erase(user);
    after.posts.erase(10 + user);
    after.deletions[6] = {user, action, DELETION_STATE_COMPLETED, posts};
    after.last_deletion = 6;
  }

  std::vector<Broken> Found(bool faults = true) {
    std::vector<Broken> found;
    for (const auto& violations : {CheckHistory(before, history, after, faults), CheckState(before, after)}) {
      for (const Violation& violation : violations) found.push_back(violation.what);
    }
    return found;
  }

  Snapshot before;
  Snapshot after;
  History history;
};

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
