// Writers against deletions, through gRPC.
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {
namespace {

using ::relation::v1::REFERENTIAL_ACTION_CASCADE;
using ::relation::v1::REFERENTIAL_ACTION_RESTRICT;

class RaceTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(RaceTest);

constexpr int kWriters = 16;
constexpr int kUsers = 10;

// Runs `write` on many threads until `decide` has returned, and for a few calls more.
void Race(const std::function<void(int writer)>& write, const std::function<void()>& decide) {
  std::atomic<int> started = 0;
  std::atomic<bool> over = false;
  std::vector<std::thread> threads;
  for (int writer = 0; writer < kWriters; ++writer) {
    threads.emplace_back([&, writer] {
      write(writer);
      ++started;
      for (int more = 3; more > 0; more -= over ? 1 : 0) write(writer);
    });
  }
  while (started < kWriters / 2) std::this_thread::yield();
  decide();
  over = true;
  for (std::thread& thread : threads) thread.join();
}

bool IsDocumentedRefusal(const grpc::Status& status) {
  const std::string reason = ReasonOf(status);
  return reason == "FOREIGN_KEY_VIOLATION" || reason == "PARENT_DELETING" || reason == "CONFLICT";
}

TEST_P(RaceTest, NoPostIsAcceptedAfterACascadeHasAnsweredAndNoneIsLeft) {
  Pair pair(GetParam());
  std::atomic<int64_t> accepted = 0;
  std::atomic<int64_t> late = 0;
  std::atomic<int64_t> undocumented = 0;
  for (int i = 0; i < kUsers; ++i) {
    const int64_t user = pair.CreateUser("user" + std::to_string(i));
    std::atomic<bool> deleted = false;
    Race(
        [&](int) {
          const bool too_late = deleted;
          const grpc::Status status = pair.TryCreatePost(user);
          if (status.ok()) {
            ++accepted;
            if (too_late) ++late;
          } else if (!IsDocumentedRefusal(status)) {
            ++undocumented;
          }
        },
        [&] {
          const auto deletion = pair.Delete(user);
          if (deletion.state() == user::v1::DELETION_STATE_RECLAIMING) deleted = true;
        });
  }
  pair.AwaitQuiet();
  EXPECT_GT(accepted, 0);
  EXPECT_EQ(late, 0);
  EXPECT_EQ(undocumented, 0);
  EXPECT_EQ(pair.Orphans(), 0);
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM posts"), 0);
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM user_refs"), 0);
}

TEST_P(RaceTest, RestrictNeverDeletesAUserThatHasAPost) {
  Pair pair(GetParam());
  for (int i = 0; i < kUsers; ++i) {
    const int64_t user = pair.CreateUser("user" + std::to_string(i));
    std::atomic<int64_t> accepted = 0;
    grpc::Status deletion;
    Race([&](int) { accepted += pair.TryCreatePost(user).ok() ? 1 : 0; },
         [&] { deletion = pair.TryDelete(user, REFERENTIAL_ACTION_RESTRICT); });
    const bool exists = pair.TryGetUser(user).ok();
    if (deletion.ok()) {
      EXPECT_FALSE(exists);
      EXPECT_EQ(accepted, 0) << "a post was accepted, and yet its user deleted by RESTRICT";
    } else {
      EXPECT_THAT(deletion, GrpcError(grpc::StatusCode::FAILED_PRECONDITION, "RESTRICTED"));
      EXPECT_TRUE(exists);
      EXPECT_EQ(pair.ListPostIds(user).size(), static_cast<size_t>(accepted));
    }
  }
  pair.AwaitQuiet();
  EXPECT_EQ(pair.Orphans(), 0);
}

TEST_P(RaceTest, APostThatMovesToAUserInDeletionEndsWithOneOfThem) {
  Pair pair(GetParam());
  for (int i = 0; i < kUsers; ++i) {
    const int64_t from = pair.CreateUser("from" + std::to_string(i));
    const int64_t to = pair.CreateUser("to" + std::to_string(i));
    const std::vector<int64_t> posts = pair.CreatePosts(from, kWriters);
    Race(
        [&](int writer) {
          post::v1::UpdatePostRequest request;
          request.mutable_post()->set_id(posts[static_cast<size_t>(writer)]);
          request.mutable_post()->set_user_id(to);
          post::v1::UpdatePostResponse response;
          const grpc::Status status =
              Invoke(pair.posts(), &post::v1::PostService::Stub::UpdatePost, request, &response);
          EXPECT_TRUE(status.ok() || IsDocumentedRefusal(status) || ReasonOf(status) == "POST_NOT_FOUND")
              << status.error_message();
        },
        [&] { pair.Delete(to); });
    // What has not moved in time is still with the first user, whole.
    for (const int64_t post : pair.ListPostIds(0)) EXPECT_THAT(pair.TryGetPost(post), GrpcOk());
  }
  pair.AwaitQuiet();
  EXPECT_EQ(pair.Orphans(), 0);
}

TEST_P(RaceTest, TwoDeletionsWithDifferentActionsAgreeOnOneOutcome) {
  Pair pair(GetParam());
  for (int i = 0; i < kUsers; ++i) {
    const int64_t user = pair.CreateUser("user" + std::to_string(i));
    const bool has_post = i % 2 == 0;
    if (has_post) pair.CreatePost(user);
    grpc::Status cascade;
    grpc::Status restricted;
    std::thread other([&] { restricted = pair.TryDelete(user, REFERENTIAL_ACTION_RESTRICT); });
    cascade = pair.TryDelete(user, REFERENTIAL_ACTION_CASCADE);
    other.join();
    for (const grpc::Status& status : {cascade, restricted}) {
      const std::string reason = ReasonOf(status);
      EXPECT_TRUE(status.ok() || reason == "USER_NOT_FOUND" || reason == "PARENT_DELETING" || reason == "RESTRICTED")
          << reason;
    }
    if (has_post && restricted.ok()) ADD_FAILURE() << "RESTRICT deleted a user that had a post";
    EXPECT_EQ(pair.TryGetUser(user).ok(), !cascade.ok() && !restricted.ok());
  }
  pair.AwaitQuiet();
  EXPECT_EQ(pair.Orphans(), 0);
}

}  // namespace
}  // namespace crosskey::testing
