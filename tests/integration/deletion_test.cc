// Deletes users with many posts: what does that cost, what do readers see, whom does it disturb?
#include <set>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/status/limits.h"
#include "tests/integration/api_client.h"
#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using post::v1::PostService;

class DeletionTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(DeletionTest);

constexpr int kMany = 100'000;

// Whether the workers run this statement over and over, deletion or not. Transactions are among them, because workers
// renew their leases in transactions.
bool IsHousekeeping(const std::string& statement) {
  static const std::set<std::string> kNames = {"sequencer.unnumbered",
                                               "feed.read",
                                               "feed.info",
                                               "feed.positions",
                                               "feed.event_at",
                                               "histories.all",
                                               "histories.floor",
                                               "instances.all",
                                               "counters.highest",
                                               "users.uid",
                                               "posts.uid",
                                               "user_deletions.uid",
                                               "user_deletions.uid_of_row",
                                               "user_refs.highest",
                                               "user_refs.released",
                                               "post_refs.highest",
                                               "post_refs.released",
                                               "consumer.checkpoint",
                                               "trim.oldest",
                                               "liveness.oldest_unnumbered",
                                               "leases.hold",
                                               "user_deletions.stale",
                                               "user_deletions.oldest",
                                               "user_deletions.ended",
                                               "user_refs.reclaimable",
                                               "post_refs.reclaimable",
                                               "posts.any_hidden",
                                               "requests.old",
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

// Gives a user at least `count` posts, most of them past the service.
void FillWithPosts(Pair& pair, int64_t user, int count) {
  const int base = count / 20;
  pair.CreatePosts(user, base);
  // Copies the posts. The copies get uids of their own: a letter that is no hexadecimal digit takes the place of the
  // dashes.
  for (char letter = 'g'; letter <= 'z'; ++letter) {
    pair.post_db().Run(absl::StrCat(
        "INSERT INTO posts (uid, user_id, title, content, content_bytes, version, create_time, update_time) "
        "SELECT REPLACE(uid, '-', '",
        std::string(1, letter),
        "'), user_id, title, content, content_bytes, version, create_time, update_time "
        "FROM posts WHERE user_id = ",
        user, " AND uid LIKE '%-%'"));
  }
}

TEST_P(DeletionTest, CostsTheSameForOnePostAndForManyAndHidesThemAtOnce) {
  Pair pair(GetParam());
  const int64_t small = pair.CreateUser("small");
  const int64_t large = pair.CreateUser("large");
  const int64_t other = pair.CreateUser("other");
  const int64_t small_post = pair.CreatePost(small);
  FillWithPosts(pair, large, kMany);
  const std::vector<int64_t> large_posts = pair.ListPostIds(large);
  const auto many = static_cast<int64_t>(large_posts.size());
  EXPECT_GE(many, kMany);
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
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM posts"), many + 2);
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
  EXPECT_EQ(pair.GetDeletion(large).posts(), many);
  const Counted removal = pair.post_sql().counted()["posts.user_id.reclaim"];
  EXPECT_EQ(removal.rows, many + 1);
  EXPECT_GE(removal.statements, many / limits::kReclaimBatchRows + 1);
  pair.AwaitQuiet();
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM posts"), 2);
  EXPECT_EQ(pair.Orphans(), 0);
}

// A post that somebody likes is hidden first, because its likes have to go before it does.
TEST_P(DeletionTest, RemovesAtOnceWhatNothingRefersTo) {
  Pair pair(GetParam());
  const int64_t author = pair.CreateUser("author");
  const int64_t fan = pair.CreateUser("fan");
  const std::vector<int64_t> posts = pair.CreatePosts(author, 5);
  for (const size_t liked : {1, 3}) {
    const auto like = absl::StrCat("post_id: ", posts[liked], " user_id: ", fan);
    EXPECT_THAT(Send<post::v1::LikePostRequest>(pair, like).status, GrpcOk());
  }
  // The author's own like goes with the author, and holds up nothing.
  EXPECT_THAT(Send<post::v1::LikePostRequest>(pair, absl::StrCat("post_id: ", posts[0], " user_id: ", author)).status,
              GrpcOk());
  pair.AwaitQuiet();
  pair.post_sql().Reset();
  pair.Delete(author);
  pair.AwaitState(author, user::v1::DELETION_STATE_COMPLETED);
  EXPECT_EQ(pair.GetDeletion(author).posts(), 5);
  EXPECT_EQ(pair.GetDeletion(author).likes(), 1);
  std::map<std::string, Counted> sql = pair.post_sql().counted();
  EXPECT_EQ(sql["posts.user_id.reclaim"].rows, 3);
  EXPECT_EQ(sql["posts.user_id.reclaim_by_hiding"].rows, 2);
  EXPECT_EQ(sql["likes.post_id.remove_hidden"].rows, 2);
  EXPECT_EQ(sql["posts.remove_hidden"].rows, 2);
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM posts"), 0);
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM likes"), 0);
  pair.AwaitQuiet();
  EXPECT_EQ(pair.Orphans(), 0);
}

TEST_P(DeletionTest, CostsTheSameForAnEmptyUserAndForOneWithManyPostsAndLikes) {
  Pair pair(GetParam());
  const int64_t empty = pair.CreateUser("empty");
  const int64_t large = pair.CreateUser("large");
  const int64_t popular = pair.CreateUser("popular");
  const int64_t other = pair.CreateUser("other");
  FillWithPosts(pair, large, kMany);
  FillWithPosts(pair, popular, kMany);
  const int64_t liked = pair.CreatePost(popular);
  pair.post_db().Run(absl::StrCat("INSERT INTO likes (post_id, user_id, create_time) SELECT id, ", large,
                                  ", 1 FROM posts WHERE user_id = ", popular));
  pair.post_db().Run(absl::StrCat("UPDATE posts SET like_count = 1 WHERE user_id = ", popular));
  EXPECT_THAT(Send<post::v1::LikePostRequest>(pair, absl::StrCat("post_id: ", liked, " user_id: ", other)).status,
              GrpcOk());
  EXPECT_EQ(GetPost(pair, liked).like_count(), 2);
  const int64_t posts = pair.post_db().Number(absl::StrCat("SELECT COUNT(*) FROM posts WHERE user_id = ", large));
  const int64_t likes = pair.post_db().Number(absl::StrCat("SELECT COUNT(*) FROM likes WHERE user_id = ", large));
  EXPECT_GE(posts, kMany);
  EXPECT_GE(likes, kMany);
  pair.AwaitQuiet();
  pair.hold_reclaim = true;

  EXPECT_EQ(CostOfDeletion(pair, large), CostOfDeletion(pair, empty));
  EXPECT_EQ(GetPost(pair, liked).like_count(), 1);
  EXPECT_EQ(Send<post::v1::ListLikedPostsRequest>(pair, absl::StrCat("user_id: ", large))->posts_size(), 0);

  pair.post_sql().Reset();
  pair.hold_reclaim = false;
  pair.AwaitState(large, user::v1::DELETION_STATE_COMPLETED);
  EXPECT_EQ(pair.GetDeletion(large).posts(), posts);
  EXPECT_EQ(pair.GetDeletion(large).likes(), likes);
  // No batch is larger than the limit.
  for (const char* removal : {"likes.user_id.reclaim", "posts.user_id.reclaim"}) {
    const Counted counted = pair.post_sql().counted()[removal];
    EXPECT_GE(counted.statements * limits::kReclaimBatchRows, counted.rows) << removal;
  }
  EXPECT_EQ(GetPost(pair, liked).like_count(), 1);
  EXPECT_EQ(pair.post_db().Number("SELECT SUM(like_count) FROM posts"), 1);
}

TEST_P(DeletionTest, OfAPostCostsTheSameForOneLikeAndForMany) {
  Pair pair(GetParam());
  const int64_t author = pair.CreateUser("author");
  const int64_t fan = pair.CreateUser("fan");
  const int64_t small = pair.CreatePost(author);
  const int64_t large = pair.CreatePost(author);
  pair.AwaitQuiet();
  // Inserts users that post-service alone knows of, and that user-service may have forgotten.
  pair.user_db().RaiseCounter("users", 2'000'000);
  for (int begin = 0; begin < kMany; begin += 1000) {
    std::string refs = "INSERT INTO user_refs (id, uid, state) VALUES ";
    for (int i = begin; i < begin + 1000; ++i) {
      absl::StrAppend(&refs, i == begin ? "" : ",", "(", 1'000'000 + i, ",'r", i, "',1)");
    }
    pair.post_db().Run(refs);
  }
  pair.post_db().Run(absl::StrCat("INSERT INTO likes (post_id, user_id, create_time) SELECT ", large,
                                  ", id, 1 FROM user_refs WHERE id >= 1000000"));
  pair.post_db().Run(absl::StrCat("UPDATE posts SET like_count = ", kMany, " WHERE id = ", large));
  EXPECT_EQ(GetPost(pair, large).like_count(), kMany);
  EXPECT_THAT(Send<post::v1::LikePostRequest>(pair, absl::StrCat("post_id: ", small, " user_id: ", fan)).status,
              GrpcOk());
  pair.hold_reclaim = true;

  const auto cost = [&](int64_t post) {
    pair.post_sql().Reset();
    EXPECT_THAT(Send<post::v1::DeletePostRequest>(pair, absl::StrCat("id: ", post)).status, GrpcOk());
    EXPECT_TRUE(
        WaitFor([&] { return pair.post_db().Number("SELECT COUNT(*) FROM outbox WHERE sequence IS NULL") == 0; }));
    std::map<std::string, Counted> counted = pair.post_sql().counted();
    for (auto each = counted.begin(); each != counted.end();) {
      each = IsHousekeeping(each->first) ? counted.erase(each) : std::next(each);
    }
    return counted;
  };
  EXPECT_EQ(cost(large), cost(small));
  EXPECT_THAT(pair.TryGetPost(large), GrpcError(grpc::StatusCode::NOT_FOUND, "POST_NOT_FOUND"));
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM likes"), kMany + 1);

  pair.post_sql().Reset();
  pair.hold_reclaim = false;
  pair.AwaitQuiet();
  const Counted removal = pair.post_sql().counted()["likes.post_id.remove_hidden"];
  EXPECT_EQ(removal.rows, kMany + 1);
  EXPECT_GE(removal.statements, kMany / 1000);
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM posts"), 0);
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
