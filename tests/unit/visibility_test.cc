// relation::Visibility: the SQL that the tokens stand for.
#include "common/relation/visibility.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "post-service/relationships.h"
#include "user-service/relationships.h"

namespace crosskey::testing {
namespace {

using relation::Visibility;

class VisibleRows : public ::testing::Test {
 protected:
  const posts::Relationships posts_ = posts::Relationships::Read().value();
  const users::Relationships users_ = users::Relationships::Read().value();
  const Visibility in_posts_{{&posts_.users}, {&posts_.posts}};
  const Visibility in_users_{{&users_.posts}, {}};
};

TEST_F(VisibleRows, OfATableAreJoinedWithTheirParents) {
  EXPECT_EQ(in_posts_.ExpandText("SELECT p.id FROM {visible posts p} WHERE p.id = ?"),
            "SELECT p.id FROM posts p JOIN user_refs p_user {by_id} ON p_user.id = p.user_id AND p_user.state = 1 "
            "AND p.state = 1 WHERE p.id = ?");
}

TEST_F(VisibleRows, AreFoundByTheirIdsAloneIfTheStatementSaysSo) {
  EXPECT_EQ(in_posts_.ExpandText("SELECT p.id FROM {visible posts p by_id} WHERE p.id = ?"),
            "SELECT p.id FROM posts p {by_id} JOIN user_refs p_user {by_id} ON p_user.id = p.user_id "
            "AND p_user.state = 1 AND p.state = 1 WHERE p.id = ?");
}

// A like is visible while its user, its post and the post's author are all there.
TEST_F(VisibleRows, OfAChildOfAChildAreJoinedWithTheParentsOfItsParents) {
  EXPECT_EQ(in_posts_.ExpandText("SELECT k.id FROM {visible likes k}"),
            "SELECT k.id FROM likes k JOIN user_refs k_user {by_id} ON k_user.id = k.user_id AND k_user.state = 1 "
            "JOIN posts k_post {by_id} ON k_post.id = k.post_id AND k_post.state = 1 "
            "JOIN user_refs k_post_user {by_id} ON k_post_user.id = k_post.user_id AND k_post_user.state = 1");
}

TEST_F(VisibleRows, OfAParentWithoutParentsAreThoseThatAreNotHidden) {
  const relation::LocalParent makers{"shop.v1.Maker", "makers", {}, {}};
  EXPECT_EQ(Visibility({}, {&makers}).ExpandText("SELECT m.id FROM {visible makers m} WHERE m.id = ?"),
            "SELECT m.id FROM (SELECT * FROM makers WHERE makers.state = 1) m WHERE m.id = ?");
}

TEST_F(VisibleRows, KeepARowWhoseColumnBecomesNull) {
  EXPECT_EQ(
      in_users_.ExpandText("SELECT {visible users.pinned_post_id u}, u.id FROM users u"),
      "SELECT (SELECT u_pinned_post.id FROM post_refs u_pinned_post {by_id} WHERE u_pinned_post.id = u.pinned_post_id "
      "AND u_pinned_post.state = 1), u.id FROM users u");
}

TEST_F(VisibleRows, OfSeveralTokensAreToldApartByTheirAliases) {
  EXPECT_EQ(in_posts_.ExpandText("{visible posts a}, {visible posts b};"),
            "posts a JOIN user_refs a_user {by_id} ON a_user.id = a.user_id AND a_user.state = 1 AND a.state = 1, "
            "posts b JOIN user_refs b_user {by_id} ON b_user.id = b.user_id AND b_user.state = 1 AND b.state = 1;");
}

TEST_F(VisibleRows, LeaveOtherTextAndTheNameAlone) {
  const db::Sql sql = in_posts_.Expand({"posts.test", "SELECT 1 WHERE id IN (?) {update}"});
  EXPECT_EQ(sql.name, "posts.test");
  EXPECT_EQ(sql.text, "SELECT 1 WHERE id IN (?) {update}");
}

using VisibleRowsDeathTest = VisibleRows;

TEST_F(VisibleRowsDeathTest, OfWhatIsNotRegisteredEndTheProcess) {
  EXPECT_DEATH(in_posts_.ExpandText("SELECT 1 FROM {visible notes n}"), "not registered.*notes");
  EXPECT_DEATH(in_posts_.ExpandText("SELECT {visible posts.title p}"), "not registered.*posts.title");
  // posts.user_id declares CASCADE: the row vanishes with its user, so there is no column that becomes null.
  EXPECT_DEATH(in_posts_.ExpandText("SELECT {visible posts.user_id p}"), "not registered.*posts.user_id");
  // users refers to posts by SET NULL alone: none of its rows vanishes, so the table needs no token.
  EXPECT_DEATH(in_users_.ExpandText("SELECT 1 FROM {visible users u}"), "not registered.*users");
  EXPECT_DEATH(in_posts_.ExpandText("SELECT 1 FROM {visible posts}"), "not registered");
  EXPECT_DEATH(in_posts_.ExpandText("SELECT 1 FROM {visible posts p by_name}"), "not registered");
  EXPECT_DEATH(in_posts_.ExpandText("SELECT 1 FROM {visible posts p"), "not registered");
}

}  // namespace
}  // namespace crosskey::testing
