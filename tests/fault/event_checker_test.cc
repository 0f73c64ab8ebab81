// Tests the checker of the two feeds in the same way as checker_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/workload/checker.h"

namespace crosskey::testing {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;

// Before, there is the user 1 with the posts 11 and 12. Then the user 2 and the post 13 are created, and the user 1 is
// deleted with its posts.
class EventCheckerTest : public ::testing::Test {
 protected:
  EventCheckerTest() {
    before.users = {{1, "uid-1"}};
    before.posts = {{11, {11, 1, 101}}, {12, {12, 1, 102}}};
    before.user_head = 20;
    before.post_head = 30;
    after.users = {{2, "uid-2"}};
    after.posts = {{13, {13, 2, 103}}};
    after.user_head = 22;
    after.post_head = 33;
    after.deletions[6] = {1, ::relation::v1::REFERENTIAL_ACTION_CASCADE, user::v1::DELETION_STATE_COMPLETED, 2, 3};
    users.events = {{21, "a", "user.v1.UserCreated", "users/2", 2, 0, 0, {}, 0, {}},
                    {22, "b", "user.v1.UserDeleted", "users/1", 1, 6, 0, {}, 0, {}}};
    posts.events = {{31, "c", "post.v1.PostCreated", "posts/13", 2, 0, 0, {13}, 0, {}},
                    {32, "d", "post.v1.PostsDeleted", "users/1", 0, 0, 0, {11, 12}, 0, {}},
                    {33, "e", "post.v1.UserPostsReclaimed", "users/1", 1, 6, 2, {}, 3, {}}};
  }

  std::vector<std::string> Found() {
    std::vector<std::string> found;
    for (const Violation& violation : CheckEvents(before, after, users, posts)) found.push_back(violation.text);
    return found;
  }

  Snapshot before;
  Snapshot after;
  EventLog users;
  EventLog posts;
};

TEST_F(EventCheckerTest, TheseAddUp) { EXPECT_THAT(Found(), IsEmpty()); }

TEST_F(EventCheckerTest, AGap) {
  users.events[1].sequence = 23;
  after.user_head = 23;
  EXPECT_THAT(Found(), Not(IsEmpty()));
}

TEST_F(EventCheckerTest, ASequenceGivenTwice) {
  posts.events[1].sequence = 31;
  EXPECT_THAT(Found(), Not(IsEmpty()));
}

TEST_F(EventCheckerTest, AnEventOfAnIdTwice) {
  posts.events[1].id = "c";
  EXPECT_THAT(Found(), Not(IsEmpty()));
}

TEST_F(EventCheckerTest, AHeadThatIsNotTheEnd) {
  after.user_head = 23;
  EXPECT_THAT(Found(), Not(IsEmpty()));
}

TEST_F(EventCheckerTest, AnEventWithoutANumber) {
  users.unnumbered = 1;
  EXPECT_THAT(Found(), Not(IsEmpty()));
}

TEST_F(EventCheckerTest, APostOfWhichNoEventTells) {
  after.posts[14] = {14, 2, 104};
  EXPECT_THAT(Found(), Not(IsEmpty()));
}

TEST_F(EventCheckerTest, APostThatIsGoneAndNoEventTells) {
  posts.events[1].posts = {11};
  EXPECT_THAT(Found(), Not(IsEmpty()));
}

TEST_F(EventCheckerTest, APostDeletedTwice) {
  posts.events[1].posts = {11, 12, 12};
  EXPECT_THAT(Found(), Not(IsEmpty()));
}

TEST_F(EventCheckerTest, AUserThatIsGoneAndNoEventTells) {
  users.events[1].type = "user.v1.UserUpdated";
  EXPECT_THAT(Found(), Not(IsEmpty()));
}

TEST_F(EventCheckerTest, ADeletionAnnouncedTwice) {
  users.events.push_back({23, "f", "user.v1.UserDeleted", "users/1", 1, 6, 0, {}, 0, {}});
  after.user_head = 23;
  EXPECT_THAT(Found(), Not(IsEmpty()));
}

TEST_F(EventCheckerTest, ADeletionAnnouncedThatWasRefused) {
  after.deletions[6].state = user::v1::DELETION_STATE_REFUSED;
  EXPECT_THAT(Found(), Not(IsEmpty()));
}

TEST_F(EventCheckerTest, ACompletedDeletionThatWasNotReported) {
  posts.events.pop_back();
  after.post_head = 32;
  EXPECT_THAT(Found(), Not(IsEmpty()));
}

TEST_F(EventCheckerTest, AReportThatCountsWrongly) {
  posts.events[2].count = 1;
  EXPECT_THAT(Found(), Not(IsEmpty()));
}

TEST_F(EventCheckerTest, AReportThatCountsLikesWrongly) {
  posts.events[2].likes = 2;
  EXPECT_THAT(Found(), Not(IsEmpty()));
}

TEST_F(EventCheckerTest, APostThatIsDeletedByItselfIsNotCountedWithItsUser) {
  posts.events[1] = {32, "d", "post.v1.PostsDeleted", "posts/11", 0, 0, 0, {11}, 0, {}};
  posts.events.insert(posts.events.begin() + 2, {33, "f", "post.v1.PostsDeleted", "users/1", 0, 0, 0, {12}, 0, {}});
  posts.events[3].sequence = after.post_head = 34;
  EXPECT_THAT(Found(), Not(IsEmpty())) << "2 are reported";
  posts.events[3].count = after.deletions[6].posts = 1;
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(EventCheckerTest, APinThatChangesAndNoEventTells) {
  before.users[2] = "uid-2";
  users.events[0].type = "user.v1.UserUpdated";
  users.events[0].paths = {"pinned_post_id"};
  EXPECT_THAT(Found(), Not(IsEmpty())) << "one alone has changed something";
  before.pins[2] = 13;
  EXPECT_THAT(Found(), IsEmpty()) << "cleared";
  after.pins[2] = 13;
  EXPECT_THAT(Found(), Not(IsEmpty())) << "and pinned again";
  users.events.push_back({23, "f", "user.v1.UserUpdated", "users/2", 2, 0, 0, {}, 0, {"pinned_post_id"}});
  after.user_head = 23;
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(EventCheckerTest, AChangeOfADeletedUserOrOfSomethingElse) {
  after.pins[2] = 13;
  EXPECT_THAT(Found(), Not(IsEmpty())) << "no event tells";
  users.events.push_back({23, "f", "user.v1.UserUpdated", "users/2", 2, 0, 0, {}, 0, {"pinned_post_id"}});
  after.user_head = 23;
  EXPECT_THAT(Found(), IsEmpty());
  users.events.back().user = 1;
  EXPECT_THAT(Found(), Not(IsEmpty()));
  users.events.back().user = 2;
  users.events.back().paths = {"username"};
  EXPECT_THAT(Found(), Not(IsEmpty()));
}

TEST_F(EventCheckerTest, RowsThatHaveBeenTrimmedAreNotMissed) {
  users.events.erase(users.events.begin());
  posts.events.clear();
  EXPECT_THAT(Found(), IsEmpty());
  users.events[0].sequence = 21;
  EXPECT_THAT(Found(), Not(IsEmpty())) << "but the last one is there, and is the head";
}

}  // namespace
}  // namespace crosskey::testing
