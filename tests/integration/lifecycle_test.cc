// The pair as a whole: create, refuse, delete.
#include <gtest/gtest.h>

#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {
namespace {

class Lifecycle : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(Lifecycle);

TEST_P(Lifecycle, ACascadeTakesAllPostsOfTheUserAndNoOthers) {
  Pair pair(GetParam());
  const int64_t ada = pair.CreateUser("ada");
  const int64_t grace = pair.CreateUser("grace");
  pair.CreatePosts(ada, 3);
  const int64_t kept = pair.CreatePost(grace);

  const auto deletion = pair.Delete(ada);
  EXPECT_EQ(deletion.state(), user::v1::DELETION_STATE_RECLAIMING);
  EXPECT_EQ(deletion.on_delete(), ::relation::v1::REFERENTIAL_ACTION_CASCADE);
  EXPECT_TRUE(pair.ListPostIds(ada).empty());
  EXPECT_EQ(pair.ListPostIds(0), std::vector<int64_t>{kept});
  EXPECT_THAT(pair.TryCreatePost(ada), GrpcError(grpc::StatusCode::FAILED_PRECONDITION, "FOREIGN_KEY_VIOLATION"));

  pair.AwaitState(ada, user::v1::DELETION_STATE_COMPLETED);
  EXPECT_EQ(pair.GetDeletion(ada).posts(), 3);
  pair.AwaitQuiet();
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM posts"), 1);
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM user_refs"), 1);
  EXPECT_EQ(pair.Orphans(), 0);
}

}  // namespace
}  // namespace crosskey::testing
