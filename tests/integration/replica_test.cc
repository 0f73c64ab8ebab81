// Two replicas of each service on one database each: whoever does a piece of work, it is done once.
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {
namespace {

class ReplicaTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_SERVER(ReplicaTest);  // SQLite is for one process a database

constexpr int kWriters = 16;
constexpr int kUsers = 12;

TEST_P(ReplicaTest, NoOrphanIsLeftWhenAllReplicasWriteAndDelete) {
  Pair pair(GetParam());
  pair.StartReplicas();
  std::atomic<int> late = 0;
  for (int i = 0; i < kUsers; ++i) {
    const int64_t user = pair.CreateUser(absl::StrCat("user ", i));
    std::atomic<bool> deleted = false;
    std::atomic<int> started = 0;
    std::vector<std::thread> writers;
    for (int writer = 0; writer < kWriters; ++writer) {
      writers.emplace_back([&, writer] {
        auto& posts = writer % 2 == 0 ? pair.posts() : pair.replica_posts();
        post::v1::CreatePostRequest request;
        request.set_user_id(user);
        request.set_title("title");
        for (int more = 3; more > 0; more -= deleted ? 1 : 0) {
          const bool too_late = deleted;
          post::v1::CreatePostResponse response;
          const grpc::Status status = Invoke(posts, &post::v1::PostService::Stub::CreatePost, request, &response);
          ++started;
          if (status.ok() && too_late) ++late;
        }
      });
    }
    while (started < kWriters / 2) std::this_thread::yield();
    auto& users = i % 2 == 0 ? pair.users() : pair.replica_users();
    user::v1::DeleteUserRequest request;
    request.set_id(user);
    user::v1::DeleteUserResponse response;
    EXPECT_THAT(Invoke(users, &user::v1::UserService::Stub::DeleteUser, request, &response), GrpcOk());
    EXPECT_EQ(response.deletion().state(), user::v1::DELETION_STATE_RECLAIMING);
    deleted = true;
    for (std::thread& writer : writers) writer.join();
  }
  pair.AwaitQuiet();
  EXPECT_EQ(late, 0);
  EXPECT_EQ(pair.Orphans(), 0);
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM posts"), 0);

  // Both sequencers numbered: without a gap or a duplicate, and every event once.
  for (TestDatabase* database : {&pair.user_db(), &pair.post_db()}) {
    const int64_t events = database->Number("SELECT COUNT(*) FROM outbox");
    EXPECT_EQ(database->Number("SELECT COUNT(DISTINCT sequence) FROM outbox"), events);
    EXPECT_EQ(database->Number("SELECT MAX(sequence) FROM outbox"), events);
    EXPECT_EQ(database->Number("SELECT head FROM feed"), events);
  }
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM outbox WHERE type = 'post.v1.UserPostsReclaimed'"), kUsers);
  EXPECT_EQ(pair.user_db().Number("SELECT COUNT(*) FROM user_deletions WHERE state = 5"), kUsers);
}

}  // namespace
}  // namespace crosskey::testing
