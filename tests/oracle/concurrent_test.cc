// Makes the operations of the oracle's history from many clients at once. Nobody can foretell then what each of them
// does. But every answer has to be a documented one, and the rows that are left in the end have to fit together.
#include <algorithm>
#include <array>
#include <cstdio>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/oracle/operations.h"
#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"
#include "tests/workload/settings.h"

namespace crosskey::testing {
namespace {

constexpr uint64_t kConcurrentSeed = 20;
constexpr int kClients = 16;
constexpr int kOperations = 220;  // of each client; some are sent twice

const char kForeignKey[] = "FAILED_PRECONDITION FOREIGN_KEY_VIOLATION";
const char kDeleting[] = "ABORTED PARENT_DELETING";
const char kConflict[] = "ABORTED CONFLICT";  // any write may answer this
const char kNoUser[] = "NOT_FOUND USER_NOT_FOUND";
const char kNoPost[] = "NOT_FOUND POST_NOT_FOUND";

// The errors that the proto files name for each operation, in the order of Kind. Those that only faults, etags or bad
// arguments cause are left out.
const std::array<std::set<std::string>, 8> kDocumented = {{
    {"ALREADY_EXISTS USERNAME_TAKEN"},
    {kNoUser, "ALREADY_EXISTS USERNAME_TAKEN", "ALREADY_EXISTS ALREADY_PINNED", kDeleting, kForeignKey},
    {kNoUser, "FAILED_PRECONDITION RESTRICTED", kDeleting},
    {kForeignKey, kDeleting},
    {kNoPost, kForeignKey, kDeleting},
    {kNoPost},
    {kForeignKey, kDeleting},
    {},
}};

bool IsDocumented(const Operation& operation, const std::string& status) {
  return status == "OK" || status == kConflict || kDocumented[static_cast<size_t>(operation.kind)].count(status) > 0;
}

void Move(int64_t id, std::vector<int64_t>& from, std::vector<int64_t>& to) {
  const auto found = std::find(from.begin(), from.end(), id);
  if (found == from.end()) return;
  from.erase(found);
  to.push_back(id);
}

// What the clients know of each other's rows. It is learned from answers only, so it lags behind the databases.
class SharedPopulation {
 public:
  Population Look() {
    const std::lock_guard lock(mutex_);
    return all_;
  }

  void Learn(const Operation& operation, const Outcome& outcome) {
    const std::lock_guard lock(mutex_);
    ++statuses_[outcome.status];
    if (outcome.status == kNoPost || operation.kind == Kind::kDeletePost) {
      Move(operation.post, all_.posts, all_.deleted_posts);
    }
    if (outcome.status == kNoUser) Move(operation.user, all_.users, all_.deleted_users);
    if (!outcome.ok()) return;
    if (operation.kind == Kind::kCreateUser) AddNew(outcome.users, all_.users);
    if (operation.kind == Kind::kCreatePosts) AddNew(outcome.posts, all_.posts);
    if (operation.kind == Kind::kDeleteUser && !operation.validate_only) {
      Move(operation.user, all_.users, all_.deleted_users);
    }
    if (operation.pin.has_value()) all_.pinned = {*operation.pin};
    if (operation.kind == Kind::kLike) all_.likes.emplace_back(operation.post, operation.user);
    if (all_.likes.size() > 40) all_.likes.erase(all_.likes.begin());
  }

  const std::map<std::string, int>& statuses() const { return statuses_; }

 private:
  template <typename Row>
  static void AddNew(const std::vector<Row>& rows, std::vector<int64_t>& to) {
    for (const Row& row : rows) {
      if (std::find(to.begin(), to.end(), row.id()) == to.end()) to.push_back(row.id());
    }
  }

  std::mutex mutex_;
  Population all_;
  std::map<std::string, int> statuses_;
};

class ConcurrentTest : public DatabaseTest {
 protected:
  ConcurrentTest() : pair_(GetParam()) {}

  void RunClient(uint64_t seed) {
    Random random(seed);
    for (int i = 0; i < kOperations; ++i) {
      const Operation operation = RandomOperation(random, shared_.Look());
      if (operation.twice && Chance(random, 50)) {
        auto other = std::async(std::launch::async, [&] { return Send(pair_, operation); });
        const Outcome first = Send(pair_, operation);
        Check(operation, first, other.get());
      } else {
        const Outcome first = Send(pair_, operation);
        Check(operation, first, operation.twice ? std::optional<Outcome>(Send(pair_, operation)) : std::nullopt);
      }
    }
  }

  // A write that is sent twice has one effect and one answer. But errors are not stored, so only two OK answers have to
  // be the same.
  void Check(const Operation& operation, const Outcome& first, const std::optional<Outcome>& second) {
    Check(operation, first);
    if (!second.has_value()) return;
    Check(operation, *second);
    if (first.ok() && second->ok()) {
      EXPECT_EQ(first.bytes, second->bytes) << Describe(operation);
    }
  }

  void Check(const Operation& operation, const Outcome& outcome) {
    EXPECT_TRUE(IsDocumented(operation, outcome.status)) << outcome.status << " of " << Describe(operation);
    shared_.Learn(operation, outcome);
  }

  void ExpectLikesAsStored(int64_t post_id, int64_t like_count) {
    post::v1::ListPostLikesRequest request;
    request.set_post_id(post_id);
    post::v1::ListPostLikesResponse response;
    EXPECT_THAT(Invoke(pair_.posts(), &post::v1::PostService::Stub::ListPostLikes, request, &response), GrpcOk());
    std::vector<std::string> listed;
    for (const auto& like : response.likes()) listed.push_back(absl::StrCat(like.user_id()));
    std::vector<std::string> stored;
    for (const auto& row : pair_.post_db().Query(
             absl::StrCat("SELECT user_id FROM likes WHERE post_id = ", post_id, " ORDER BY user_id"))) {
      stored.push_back(row.front());
    }
    EXPECT_EQ(listed, stored) << post_id;
    EXPECT_EQ(like_count, static_cast<int64_t>(stored.size())) << post_id;
  }

  Pair pair_;
  SharedPopulation shared_;
};
CROSSKEY_ON_EVERY_DATABASE(ConcurrentTest);

TEST_P(ConcurrentTest, ManyClientsLeaveTwoDatabasesThatFitTogether) {
  const uint64_t seed = SeedOfRun(kConcurrentSeed);
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) clients.emplace_back([this, seed, i] { RunClient(seed * 1000 + i); });
  for (std::thread& client : clients) client.join();

  int calls = 0;
  for (const auto& [status, count] : shared_.statuses()) {
    std::printf("%6d %s\n", count, status.c_str());
    calls += count;
  }
  EXPECT_GE(calls, kClients * kOperations);
  // 2: REFUSED, 5: COMPLETED.
  EXPECT_TRUE(WaitFor(
      [&] { return pair_.user_db().Number("SELECT COUNT(*) FROM user_deletions WHERE state NOT IN (2, 5)") == 0; }));
  pair_.AwaitQuiet();
  EXPECT_EQ(pair_.Orphans(), 0);
  EXPECT_EQ(
      pair_.user_db().Number("SELECT COUNT(*) - COUNT(DISTINCT pinned_post_id) FROM users WHERE pinned_post_id IS "
                             "NOT NULL"),
      0);
  EXPECT_EQ(pair_.user_db().Number("SELECT COUNT(*) FROM users WHERE state <> 1"), 0);
  post::v1::ListPostsRequest request;
  request.set_page_size(1000);
  post::v1::ListPostsResponse response;
  EXPECT_THAT(Invoke(pair_.posts(), &post::v1::PostService::Stub::ListPosts, request, &response), GrpcOk());
  EXPECT_EQ(response.posts_size(), pair_.post_db().Number("SELECT COUNT(*) FROM posts"));
  for (const auto& post : response.posts()) ExpectLikesAsStored(post.id(), post.like_count());
}

}  // namespace
}  // namespace crosskey::testing
