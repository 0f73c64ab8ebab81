// Deleting a user with many posts: what it costs, what readers see, whom it disturbs.
#include <set>

#include <gtest/gtest.h>

#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using post::v1::PostService;

class DeletionTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(DeletionTest);

constexpr int kMany = 100'000;

// What the workers do over and over, deletion or not: also the transactions in which they renew their leases.
bool IsHousekeeping(const std::string& statement) {
  static const std::set<std::string> kNames = {"sequencer.unnumbered",
                                               "feed.read",
                                               "feed.info",
                                               "feed.positions",
                                               "consumer.checkpoint",
                                               "trim.oldest",
                                               "liveness.oldest_unnumbered",
                                               "leases.hold",
                                               "user_deletions.stale",
                                               "user_deletions.oldest",
                                               "user_deletions.ended",
                                               "user_refs.reclaimable",
                                               "transaction.begin",
                                               "transaction.commit"};
  return kNames.count(statement) > 0;
}

// The SQL of one deletion in both services, up to the moment when only the reclaim is left.
std::map<std::string, Counted> CostOfDeletion(Pair& pair, int64_t user_id) {
  pair.user_sql().Reset();
  pair.post_sql().Reset();
  EXPECT_EQ(pair.Delete(user_id).state(), user::v1::DELETION_STATE_RECLAIMING);
  EXPECT_TRUE(WaitFor(
      [&] { return pair.post_db().Number("SELECT state FROM user_refs WHERE id = " + std::to_string(user_id)) == 3; }));
  std::map<std::string, Counted> cost;
  for (const auto& [name, counted] : pair.user_sql().counted()) {
    if (!IsHousekeeping(name)) cost["user-service " + name] = counted;
  }
  for (const auto& [name, counted] : pair.post_sql().counted()) {
    if (!IsHousekeeping(name)) cost["post-service " + name] = counted;
  }
  return cost;
}

TEST_P(DeletionTest, CostsTheSameForOnePostAndForManyAndHidesThemAtOnce) {
  Pair pair(GetParam());
  const int64_t small = pair.CreateUser("small");
  const int64_t large = pair.CreateUser("large");
  const int64_t other = pair.CreateUser("other");
  const int64_t small_post = pair.CreatePost(small);
  const std::vector<int64_t> large_posts = pair.CreatePosts(large, kMany);
  const int64_t other_post = pair.CreatePost(other);
  pair.AwaitQuiet();
  pair.hold_reclaim = true;

  const auto cost_of_one = CostOfDeletion(pair, small);
  const auto cost_of_many = CostOfDeletion(pair, large);
  for (const auto& [name, counted] : cost_of_many) {
    const auto one = cost_of_one.find(name);
    ASSERT_NE(one, cost_of_one.end()) << name;
    EXPECT_EQ(counted.statements, one->second.statements) << name;
    EXPECT_EQ(counted.rows, one->second.rows) << name;
  }
  EXPECT_EQ(cost_of_many.size(), cost_of_one.size());

  // Every row is still there, and no reader sees any.
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM posts"), kMany + 2);
  const auto not_found = GrpcError(grpc::StatusCode::NOT_FOUND, "POST_NOT_FOUND");
  EXPECT_THAT(pair.TryGetPost(small_post), not_found);
  EXPECT_THAT(pair.TryGetPost(large_posts.front()), not_found);
  EXPECT_THAT(pair.TryGetPost(large_posts.back()), not_found);
  EXPECT_TRUE(pair.ListPostIds(large).empty());
  EXPECT_EQ(pair.ListPostIds(0), std::vector<int64_t>{other_post});
  post::v1::BatchGetPostsRequest request;
  for (int i = 0; i < 49; ++i) request.add_ids(large_posts[static_cast<size_t>(i) * 2000]);
  request.add_ids(other_post);
  post::v1::BatchGetPostsResponse response;
  ASSERT_THAT(Invoke(pair.posts(), &PostService::Stub::BatchGetPosts, request, &response), GrpcOk());
  EXPECT_EQ(response.posts_size(), 1);
  EXPECT_EQ(response.not_found_ids_size(), 49);

  // No write reaches them either.
  post::v1::UpdatePostRequest update;
  update.mutable_post()->set_id(large_posts.front());
  update.mutable_post()->set_title("too late");
  post::v1::UpdatePostResponse updated;
  EXPECT_THAT(Invoke(pair.posts(), &PostService::Stub::UpdatePost, update, &updated), not_found);
  post::v1::DeletePostRequest remove;
  remove.set_id(large_posts.front());
  post::v1::DeletePostResponse removed;
  EXPECT_THAT(Invoke(pair.posts(), &PostService::Stub::DeletePost, remove, &removed), not_found);

  // Others go on while the reclaim is held ...
  const int64_t later = pair.CreatePost(other);
  EXPECT_THAT(pair.TryGetPost(later), GrpcOk());
  EXPECT_EQ(pair.ListPostIds(other), (std::vector<int64_t>{other_post, later}));
  EXPECT_GT(pair.CreateUser("newcomer"), 0);

  // ... and while it works, in batches.
  pair.post_sql().Reset();
  pair.hold_reclaim = false;
  pair.AwaitState(large, user::v1::DELETION_STATE_COMPLETED);
  EXPECT_EQ(pair.GetDeletion(large).posts(), kMany);
  const Counted removal = pair.post_sql().counted()["posts.user_id.reclaim"];
  EXPECT_EQ(removal.rows, kMany + 1);
  EXPECT_EQ(removal.statements, kMany / 1000 + 1);
  pair.AwaitQuiet();
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM posts"), 2);
  EXPECT_EQ(pair.Orphans(), 0);
}

TEST_P(DeletionTest, RestrictIsRefusedWhilePostsExistAndAllowedAfterwards) {
  Pair pair(GetParam());
  const int64_t user = pair.CreateUser("ada");
  const int64_t post = pair.CreatePost(user);
  const grpc::Status refused = pair.TryDelete(user, ::relation::v1::REFERENTIAL_ACTION_RESTRICT);
  EXPECT_THAT(refused, GrpcError(grpc::StatusCode::FAILED_PRECONDITION, "RESTRICTED"));
  user::v1::User seen;
  EXPECT_THAT(pair.TryGetUser(user, &seen), GrpcOk());
  EXPECT_EQ(seen.state(), user::v1::USER_STATE_ACTIVE);
  EXPECT_THAT(pair.TryGetPost(post), GrpcOk());

  post::v1::DeletePostRequest remove;
  remove.set_id(post);
  post::v1::DeletePostResponse removed;
  ASSERT_THAT(Invoke(pair.posts(), &PostService::Stub::DeletePost, remove, &removed), GrpcOk());
  user::v1::UserDeletion deletion;
  EXPECT_THAT(pair.TryDelete(user, ::relation::v1::REFERENTIAL_ACTION_RESTRICT, &deletion), GrpcOk());
  EXPECT_EQ(deletion.on_delete(), ::relation::v1::REFERENTIAL_ACTION_RESTRICT);
  pair.AwaitState(user, user::v1::DELETION_STATE_COMPLETED);
}

TEST_P(DeletionTest, IdsAreNeverUsedAgain) {
  Pair pair(GetParam());
  const int64_t first = pair.CreateUser("ada");
  const int64_t post = pair.CreatePost(first);
  pair.Delete(first);
  pair.AwaitState(first, user::v1::DELETION_STATE_COMPLETED);
  pair.AwaitQuiet();
  pair.StopUsers();
  pair.StopPosts();
  pair.StartUsers();
  pair.StartPosts();
  const int64_t second = pair.CreateUser("ada");
  EXPECT_GT(second, first);
  EXPECT_GT(pair.CreatePost(second), post);
}

}  // namespace
}  // namespace crosskey::testing
