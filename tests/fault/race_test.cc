// Races writers against deletions, over gRPC and with the services as processes: two replicas of each where the
// database is a server.
#include <atomic>
#include <cstdio>
#include <functional>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/fault/calls.h"
#include "tests/support/cluster.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_database.h"
#include "tests/support/wait.h"
#include "tests/workload/settings.h"

namespace crosskey::testing {
namespace {

using ::relation::v1::REFERENTIAL_ACTION_CASCADE;
using ::relation::v1::REFERENTIAL_ACTION_RESTRICT;

constexpr int kWriters = 64;
// What a write may answer while its user is being deleted, or when it is gone.
const std::set<std::string> kRefusals = {"OK", "FOREIGN_KEY_VIOLATION", "PARENT_DELETING", "CONFLICT"};

class RaceTest : public DatabaseTest {
 protected:
  RaceTest() : cluster_(GetParam(), {GetParam() == "sqlite" ? 1 : 2, false, {}}) { cluster_.StartAll(); }

  // Different values of `of` go to different replicas, in turn.
  UserStub& users(int of) { return cluster_.users(of % cluster_.replicas()); }
  PostStub& posts(int of) { return cluster_.posts(of % cluster_.replicas()); }

  void ExpectNoOrphans() {
    cluster_.AwaitQuiet();
    EXPECT_EQ(cluster_.Orphans(), 0);
    EXPECT_EQ(cluster_.post_db().Number("SELECT COUNT(*) FROM user_refs WHERE state <> 1"), 0);
  }

  // All sequencers together have numbered the events without a gap or a duplicate.
  void ExpectEveryEventNumberedOnce() {
    for (TestDatabase* database : {&cluster_.user_db(), &cluster_.post_db()}) {
      const int64_t events = database->Number("SELECT COUNT(*) FROM outbox");
      EXPECT_EQ(database->Number("SELECT COUNT(DISTINCT sequence) FROM outbox"), events);
      EXPECT_EQ(database->Number("SELECT MAX(sequence) FROM outbox"), events);
      EXPECT_EQ(database->Number("SELECT head FROM feed"), events);
    }
  }

  int64_t Events(TestDatabase& database, const std::string& type) {
    return database.Number("SELECT COUNT(*) FROM outbox WHERE type = '" + type + "'");
  }

  Cluster cluster_;
};
CROSSKEY_ON_EVERY_DATABASE(RaceTest);

// Runs `write` on a thread for each writer, and `decide` on this one. Returns when all have ended.
void Race(const std::function<void(int writer)>& write, const std::function<void()>& decide) {
  std::vector<std::thread> threads;
  for (int writer = 0; writer < kWriters; ++writer) threads.emplace_back([&, writer] { write(writer); });
  decide();
  for (std::thread& thread : threads) thread.join();
}

// Deletes by CASCADE. If post-service did not answer in time (PENDING), waits for the end of the deletion, because only
// then are the posts gone.
void DeleteForGood(UserStub& users, int64_t user) {
  user::v1::UserDeletion deletion;
  EXPECT_THAT(TryDelete(users, user, REFERENTIAL_ACTION_CASCADE, &deletion), GrpcOk());
  if (deletion.state() == user::v1::DELETION_STATE_PENDING) {
    AwaitDeletion(users, user, user::v1::DELETION_STATE_COMPLETED);
  }
}

TEST_P(RaceTest, NoPostIsAcceptedAfterACascadeHasAnsweredAndNoneIsLeft) {
  const int rounds = RoundsOfRun();
  Outcomes outcomes;
  std::atomic<int> late = 0;
  for (int i = 0; i < rounds; ++i) {
    const int64_t user = CreateUser(users(i), absl::StrCat("user ", i));
    std::atomic<bool> deleted = false;
    std::atomic<int> ended = 0;
    Race(
        [&](int writer) {
          for (bool too_late = false; !too_late;) {
            too_late = deleted;
            const grpc::Status status = TryCreatePost(posts(writer), user);
            outcomes.Add(status);
            ++ended;
            if (status.ok() && too_late) ++late;
          }
        },
        [&] {
          // Waits until some writes have ended, 1 to 16 of them.
          while (ended < 1 + i % kWriters / 4) std::this_thread::yield();
          DeleteForGood(users(i + 1), user);
          deleted = true;
        });
  }
  std::printf("writes: %s\n", outcomes.ToString().c_str());
  EXPECT_EQ(late, 0);
  EXPECT_EQ(outcomes.Except(kRefusals), "");
  EXPECT_GE(outcomes.Count("OK"), rounds);
  EXPECT_GE(outcomes.Count("FOREIGN_KEY_VIOLATION"), rounds * kWriters);
  ExpectNoOrphans();
  TestDatabase& user_db = cluster_.user_db();
  TestDatabase& post_db = cluster_.post_db();
  EXPECT_EQ(post_db.Number("SELECT COUNT(*) FROM posts"), 0);
  EXPECT_EQ(post_db.Number("SELECT COUNT(*) FROM user_refs"), 0);
  // Whichever replica did a piece of work, it was done once.
  ExpectEveryEventNumberedOnce();
  EXPECT_EQ(Events(post_db, "post.v1.PostCreated"), outcomes.Count("OK"));
  EXPECT_EQ(Events(post_db, "post.v1.UserPostsReclaimed"), rounds);
  EXPECT_EQ(Events(user_db, "user.v1.UserDeleted"), rounds);
  EXPECT_EQ(user_db.Number("SELECT COUNT(*) FROM user_deletions WHERE state = 5"), rounds);
  EXPECT_EQ(user_db.Number("SELECT SUM(removed) FROM deletion_rows WHERE relationship = 'post.v1.Post.user_id'"),
            outcomes.Count("OK"));
}

TEST_P(RaceTest, RestrictNeverDeletesAUserThatHasAPost) {
  const int rounds = RoundsOfRun();
  Outcomes writes;
  Outcomes deletions;
  for (int i = 0; i < rounds; ++i) {
    const int64_t user = CreateUser(users(i), absl::StrCat("user ", i));
    std::atomic<bool> sent = false;
    std::atomic<bool> over = false;
    std::atomic<int> accepted = 0;
    grpc::Status deletion;
    Race(
        [&](int writer) {
          // The first user is deleted before the writers begin. For each further user they begin earlier within its
          // deletion.
          while (!sent) std::this_thread::yield();
          const absl::Time begin = absl::Now() + absl::Milliseconds(50) / rounds * (rounds - i);
          while (i == 0 ? !over : absl::Now() < begin && !over) std::this_thread::yield();
          const grpc::Status status = TryCreatePost(posts(writer), user);
          writes.Add(status);
          if (status.ok()) ++accepted;
        },
        [&] {
          sent = true;
          // The last user gets a post before its deletion begins.
          while (i == rounds - 1 && accepted == 0) std::this_thread::yield();
          deletion = TryDelete(users(i + 1), user, REFERENTIAL_ACTION_RESTRICT);
          over = true;
        });
    const std::string outcome = deletions.Add(deletion);
    const int64_t stored = cluster_.post_db().Number(absl::StrCat("SELECT COUNT(*) FROM posts WHERE user_id = ", user));
    EXPECT_EQ(stored, accepted);
    EXPECT_EQ(TryGetUser(users(i), user).ok(), !deletion.ok());
    EXPECT_FALSE(deletion.ok() && accepted > 0) << "a post was accepted, and yet its user deleted by RESTRICT";
  }
  std::printf("writes: %s\ndeletions: %s\n", writes.ToString().c_str(), deletions.ToString().c_str());
  EXPECT_EQ(writes.Except(kRefusals), "");
  EXPECT_EQ(deletions.Except({"OK", "RESTRICTED"}), "");
  EXPECT_GT(deletions.Count("OK"), 0);
  EXPECT_GT(deletions.Count("RESTRICTED"), 0);
  ExpectNoOrphans();
}

// Posts move from one user to another while one of the two is deleted. A post whose move was accepted goes where the
// new user goes, any other where the old user goes.
TEST_P(RaceTest, APostThatMovesSharesTheFateOfTheUserItWasAcceptedFor) {
  const int rounds = RoundsOfRun();
  Outcomes outcomes;
  std::set<int64_t> expected;
  std::mutex mutex;
  for (int i = 0; i < rounds; ++i) {
    const int64_t from = CreateUser(users(i), absl::StrCat("from ", i));
    const int64_t to = CreateUser(users(i), absl::StrCat("to ", i));
    const std::vector<int64_t> ids = CreatePosts(posts(i), from, kWriters);
    const bool into_deleted = i % 2 == 0;
    std::atomic<int> ended = 0;
    Race(
        [&](int writer) {
          const int64_t id = ids[static_cast<size_t>(writer)];
          const grpc::Status status = TryMovePost(posts(writer), id, to);
          outcomes.Add(status);
          ++ended;
          std::lock_guard lock(mutex);
          if (status.ok() != into_deleted) expected.insert(id);
        },
        [&] {
          while (ended < i % kWriters) std::this_thread::yield();
          DeleteForGood(users(i + 1), into_deleted ? to : from);
        });
  }
  std::printf("moves: %s\n", outcomes.ToString().c_str());
  std::set<std::string> refusals = kRefusals;
  refusals.insert("POST_NOT_FOUND");  // it went with its old user
  EXPECT_EQ(outcomes.Except(refusals), "");
  EXPECT_GT(outcomes.Count("OK"), 0);
  EXPECT_LT(outcomes.Count("OK"), rounds * kWriters);
  ExpectNoOrphans();
  std::set<int64_t> left;
  for (const auto& row : cluster_.post_db().Query("SELECT id FROM posts")) left.insert(std::stoll(row.front()));
  EXPECT_EQ(left, expected);
}

TEST_P(RaceTest, TwoDeletionsWithDifferentActionsAgreeOnOneOutcome) {
  constexpr int kUsers = 104;
  constexpr int kAtATime = 8;
  Outcomes cascades;
  Outcomes restricts;
  const auto delete_twice = [&](int i) {
    const int64_t user = CreateUser(users(i), absl::StrCat("user ", i));
    const bool has_post = i % 4 < 2;
    if (has_post) CreatePosts(posts(i), user, 1);
    grpc::Status cascade;
    grpc::Status restricted;
    // The two deletions go through different replicas. The cascade needs one answer less, so it begins a little later,
    // more so each time.
    std::thread other([&] { restricted = TryDelete(users(0), user, REFERENTIAL_ACTION_RESTRICT); });
    const absl::Time begin = absl::Now() + absl::Milliseconds(2) * (i / kAtATime);
    while (absl::Now() < begin) std::this_thread::yield();
    cascade = TryDelete(users(1), user, REFERENTIAL_ACTION_CASCADE);
    other.join();
    cascades.Add(cascade);
    restricts.Add(restricted);
    EXPECT_FALSE(has_post && restricted.ok()) << "RESTRICT deleted a user that had a post";
    EXPECT_EQ(TryGetUser(users(i), user).ok(), !cascade.ok() && !restricted.ok());
  };
  for (int i = 0; i < kUsers; i += kAtATime) {
    std::vector<std::thread> threads;
    for (int of = 0; of < kAtATime; ++of) threads.emplace_back([&, of] { delete_twice(i + of); });
    for (std::thread& thread : threads) thread.join();
  }
  std::printf("cascade: %s\nrestrict: %s\n", cascades.ToString().c_str(), restricts.ToString().c_str());
  EXPECT_EQ(cascades.Except({"OK", "USER_NOT_FOUND", "PARENT_DELETING"}), "");
  EXPECT_EQ(restricts.Except({"OK", "USER_NOT_FOUND", "PARENT_DELETING", "RESTRICTED"}), "");
  ExpectNoOrphans();
}

}  // namespace
}  // namespace crosskey::testing
