// A node is killed under load and rejoins. The replicas on other nodes go on, its own come back with it, and nothing is
// lost.
#include <array>
#include <atomic>
#include <cstdio>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/fault/calls.h"
#include "tests/galera/galera.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {
namespace {

using ::relation::v1::REFERENTIAL_ACTION_CASCADE;

const std::set<std::string> kDocumented = {
    "OK",       "DATABASE_UNAVAILABLE", "PEER_UNAVAILABLE", "OVERLOADED", "DATABASE_NOT_WRITABLE",
    "CONFLICT", "PARENT_DELETING",      "DEADLINE_EXCEEDED"};

class GaleraNodeTest : public ::testing::Test {
 protected:
  explicit GaleraNodeTest(bool every_node = false)
      : cluster_("galera", {2, false, {}, false, {}, nullptr, every_node}) {
    cluster_.StartAll();
    keeper_ = CreateUser(cluster_.users(), "keeper");
    for (int client = 0; client < 8; ++client) {
      clients_.emplace_back([this, client] {
        const int replica = client % 2;
        for (int i = 0; !over_; ++i) {
          client < 4 ? Write(replica) : Live(replica, absl::StrCat("user ", client, " ", i));
        }
      });
    }
  }
  ~GaleraNodeTest() override { End(); }

  void End() {
    over_ = true;
    for (std::thread& client : clients_) client.join();
    clients_.clear();
  }

  // Waits until calls succeed again, of the replicas whose node is not `away`.
  void AwaitProgress(int away) {
    for (const int replica : {0, 1}) {
      const auto at = static_cast<size_t>(replica);
      const int64_t writes = writes_[at];
      const int64_t lives = lives_[at];
      if (cluster_.NodeOf(Side::kPosts, replica) != away) {
        EXPECT_TRUE(WaitFor([&] { return writes_[at] > writes + 20; })) << outcomes_.ToString();
      }
      // Such a client needs both replicas of both services.
      EXPECT_TRUE(away >= 0 || WaitFor([&] { return lives_[at] > lives + 5; })) << outcomes_.ToString();
    }
  }

  void ExpectAsAcknowledged() {
    End();
    std::printf("%s\n", outcomes_.ToString().c_str());
    EXPECT_EQ(outcomes_.Except(kDocumented), "");
    ExpectWhole(cluster_);
    OnEveryNode(cluster_, [&](const TestDatabase& users, const TestDatabase& posts) {
      std::set<int64_t> stored;
      for (const auto& row : posts.Query("SELECT id FROM posts")) stored.insert(std::stoll(row.front()));
      for (const int64_t post : kept_) EXPECT_EQ(stored.count(post), 1u) << "an acknowledged post is lost: " << post;
      stored.clear();
      for (const auto& row : users.Query("SELECT id FROM users")) stored.insert(std::stoll(row.front()));
      for (const int64_t user : deleted_) EXPECT_EQ(stored.count(user), 0u) << "a deleted user is back: " << user;
    });
  }

  Cluster cluster_;
  Outcomes outcomes_;

 private:
  static constexpr absl::Duration kPatience = absl::Seconds(3);

  void Write(int replica) {
    int64_t id = 0;
    const grpc::Status status = TryCreatePost(cluster_.posts(replica), keeper_, &id, kPatience);
    outcomes_.Add(status);
    if (!status.ok()) return;
    ++writes_[static_cast<size_t>(replica)];
    std::lock_guard lock(mutex_);
    kept_.push_back(id);
  }

  // A user is made by one replica and deleted by the other one.
  void Live(int replica, const std::string& name) {
    int64_t user = 0;
    const grpc::Status created = TryCreateUser(cluster_.users(replica), name, &user, kPatience);
    outcomes_.Add(created);
    if (!created.ok()) return;
    const grpc::Status post = TryCreatePost(cluster_.posts(replica), user, nullptr, kPatience);
    outcomes_.Add(post);
    const grpc::Status deleted =
        TryDelete(cluster_.users(1 - replica), user, REFERENTIAL_ACTION_CASCADE, nullptr, kPatience);
    outcomes_.Add(deleted);
    if (!post.ok() || !deleted.ok()) return;
    ++lives_[static_cast<size_t>(replica)];
    std::lock_guard lock(mutex_);
    deleted_.push_back(user);
  }

  int64_t keeper_ = 0;
  std::array<std::atomic<int64_t>, 2> writes_ = {0, 0};
  std::array<std::atomic<int64_t>, 2> lives_ = {0, 0};
  std::atomic<bool> over_ = false;
  std::mutex mutex_;  // guards what follows
  std::vector<int64_t> kept_;
  std::vector<int64_t> deleted_;
  std::vector<std::thread> clients_;
};

TEST_F(GaleraNodeTest, OneThatIsKilledAndRejoinsTakesNothingWithIt) {
  AwaitProgress(-1);
  for (int time = 0; time < TimesOfRun(); ++time) {
    const int node = (time + 1) % 3;
    KillNode(node);
    AwaitProgress(node);
    RejoinNode(node);
    EXPECT_TRUE(WaitFor([&] {
      return cluster_.Healthy(Side::kUsers, 0) && cluster_.Healthy(Side::kUsers, 1) &&
             cluster_.Healthy(Side::kPosts, 0) && cluster_.Healthy(Side::kPosts, 1);
    })) << "the replicas of the node do not serve again";
    AwaitProgress(-1);
  }
  ExpectAsAcknowledged();
}

// Each service is told all nodes.
class GaleraNodesTest : public GaleraNodeTest {
 protected:
  GaleraNodesTest() : GaleraNodeTest(true) {}
};

TEST_F(GaleraNodesTest, AReplicaGoesOnWhenItsNodeIsKilled) {
  AwaitProgress(-1);
  for (int time = 0; time < TimesOfRun(); ++time) {
    const int node = (time + 1) % 3;
    KillNode(node);
    AwaitProgress(-1);
    RejoinNode(node);
    AwaitProgress(-1);
  }
  ExpectAsAcknowledged();
}

}  // namespace
}  // namespace crosskey::testing
