// Restarts and kills the database server, lets it hang, or cuts its connections, while clients go on. They get
// documented errors only, what was acknowledged stays, and afterwards all is well.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/fault/calls.h"
#include "tests/support/cluster.h"
#include "tests/support/cut_sessions.h"
#include "tests/support/mariadb_server.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"
#include "tests/support/watch.h"

namespace crosskey::testing {
namespace {

using ::relation::v1::REFERENTIAL_ACTION_CASCADE;

const std::set<std::string> kDocumented = {"OK",       "DATABASE_UNAVAILABLE", "PEER_UNAVAILABLE", "OVERLOADED",
                                           "CONFLICT", "PARENT_DELETING",      "DEADLINE_EXCEEDED"};

class DatabaseOutageTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(MariadbServer::IsInstalled()) << "deploy/install-packages test";
    server_.emplace();
    cluster_.emplace("mariadb", Cluster::Options());
    cluster_->StartAll();
    keeper_ = CreateUser(cluster_->users(), "keeper");
  }

  // Runs `disturb` while clients write posts of a user that stays, and others create users, give each a post and delete
  // it. Afterwards everything must be as the answers said.
  void UnderLoad(const std::function<void()>& disturb) {
    std::vector<std::thread> clients;
    for (int client = 0; client < 8; ++client) {
      clients.emplace_back([this, client] {
        for (int i = 0; !over_; ++i) client < 4 ? Write() : Live(absl::StrCat("user ", client, " ", i));
      });
    }
    AwaitProgress();
    disturb();
    AwaitProgress();
    over_ = true;
    for (std::thread& client : clients) client.join();
    std::printf("%s\n", outcomes_.ToString().c_str());
    EXPECT_EQ(outcomes_.Except(documented_), "");
    // The services look at their database once a second.
    EXPECT_TRUE(WaitFor([&] { return cluster_->Healthy(Side::kUsers) && cluster_->Healthy(Side::kPosts); }));
    ExpectAsAcknowledged();
  }

  // Waits until each kind of client succeeds again.
  void AwaitProgress() {
    const int64_t before = writes_;
    const int64_t lives = lives_;
    EXPECT_TRUE(WaitFor([&] { return writes_ > before + 20 && lives_ > lives + 5; })) << outcomes_.ToString();
  }

  void ExpectAsAcknowledged() {
    cluster_->AwaitQuiet();
    EXPECT_EQ(cluster_->Orphans(), 0);
    std::set<int64_t> stored;
    for (const auto& row : cluster_->post_db().Query("SELECT id FROM posts")) stored.insert(std::stoll(row.front()));
    for (const int64_t post : kept_) EXPECT_EQ(stored.count(post), 1u) << "an acknowledged post is lost: " << post;
    std::set<int64_t> users;
    for (const auto& row : cluster_->user_db().Query("SELECT id FROM users")) users.insert(std::stoll(row.front()));
    for (const int64_t user : deleted_) EXPECT_EQ(users.count(user), 0u) << "a deleted user is back: " << user;
    // Nothing is left half way: no intent that does not move, no accepted deletion that does not end.
    EXPECT_TRUE(WaitFor([&] {
      return cluster_->user_db().Number("SELECT COUNT(*) FROM user_deletions WHERE state NOT IN (2, 5)") == 0;
    }));
  }

  std::optional<MariadbServer> server_;  // first, so that it outlives the databases
  std::optional<Cluster> cluster_;
  int64_t keeper_ = 0;
  Outcomes outcomes_;
  std::set<std::string> documented_ = kDocumented;
  std::atomic<bool> over_ = false;
  std::atomic<int64_t> writes_ = 0;
  std::atomic<int64_t> lives_ = 0;
  std::mutex mutex_;  // guards what follows
  std::vector<int64_t> kept_;
  std::vector<int64_t> deleted_;

 private:
  static constexpr absl::Duration kPatience = absl::Seconds(3);

  void Write() {
    int64_t id = 0;
    const grpc::Status status = TryCreatePost(cluster_->posts(), keeper_, &id, kPatience);
    outcomes_.Add(status);
    if (!status.ok()) return;
    ++writes_;
    std::lock_guard lock(mutex_);
    kept_.push_back(id);
  }

  void Live(const std::string& name) {
    int64_t user = 0;
    const grpc::Status created = TryCreateUser(cluster_->users(), name, &user, kPatience);
    outcomes_.Add(created);
    if (!created.ok()) return;
    const grpc::Status post = TryCreatePost(cluster_->posts(), user, nullptr, kPatience);
    outcomes_.Add(post);
    const grpc::Status deleted = TryDelete(cluster_->users(), user, REFERENTIAL_ACTION_CASCADE, nullptr, kPatience);
    outcomes_.Add(deleted);
    if (!post.ok() || !deleted.ok()) return;
    ++lives_;
    std::lock_guard lock(mutex_);
    deleted_.push_back(user);
  }
};

TEST_F(DatabaseOutageTest, RestartsLoseNothing) {
  UnderLoad([&] {
    for (const int signal : {SIGTERM, SIGKILL}) {
      server_->Stop(signal);
      EXPECT_TRUE(WaitFor([&] { return !cluster_->Healthy(Side::kPosts) && !cluster_->Healthy(Side::kUsers); }));
      server_->Start();
      AwaitProgress();
    }
  });
  EXPECT_GT(outcomes_.Count("DATABASE_UNAVAILABLE"), 0);
}

TEST_F(DatabaseOutageTest, KilledConnectionsAreReplaced) {
  const auto opened = [&] {
    return MetricOf(cluster_->metrics_port(Side::kPosts), "crosskey_db_sessions_opened_total") +
           MetricOf(cluster_->metrics_port(Side::kUsers), "crosskey_db_sessions_opened_total");
  };
  const double before_all = opened();
  UnderLoad([&] {
    for (int i = 0; i < 10; ++i) {
      const int64_t before = writes_;
      CutSessions(cluster_->post_db());
      CutSessions(cluster_->user_db());
      EXPECT_TRUE(WaitFor([&] { return writes_ > before + 5; }));
    }
  });
  EXPECT_GE(opened(), before_all + 20);
}

// No statement is answered for a while, and then all are. Callers get their errors in time, whatever the server does.
TEST_F(DatabaseOutageTest, StatementsThatHangHoldNoCallerBeyondItsDeadline) {
  UnderLoad([&] {
    server_->Hang();
    const int64_t before = outcomes_.Count("DEADLINE_EXCEEDED") + outcomes_.Count("OVERLOADED");
    EXPECT_TRUE(
        WaitFor([&] { return outcomes_.Count("DEADLINE_EXCEEDED") + outcomes_.Count("OVERLOADED") >= before + 16; }));
    server_->GoOn();
  });
}

// The end of a process does not wait for a database that hangs either.
TEST_F(DatabaseOutageTest, AStopDoesNotWaitForADatabaseThatHangs) {
  documented_.insert({"DRAINING", "UNAVAILABLE"});
  UnderLoad([&] {
    server_->Hang();
    for (const Side side : {Side::kUsers, Side::kPosts}) cluster_->process(side).Signal(SIGTERM);
    for (const Side side : {Side::kUsers, Side::kPosts}) {
      EXPECT_EQ(cluster_->process(side).Wait(absl::Seconds(12)), 0) << cluster_->process(side).Output();
    }
    server_->GoOn();
    cluster_->StartAll();
  });
}

}  // namespace
}  // namespace crosskey::testing
