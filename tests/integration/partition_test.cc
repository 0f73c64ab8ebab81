// Breaks connections between the services, and between a service and its database. Partitions are tested in
// tests/fault/partition_test.cc.
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tcp_gate.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

class PartitionTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(PartitionTest);

// The feed is cut in the middle of its messages again and again: every event still takes effect once.
TEST_P(PartitionTest, AFeedThatBreaksOffLosesNothing) {
  Pair pair(GetParam(), false);
  TcpGate gate(pair.user_internal_port());
  pair.post_to_user_gate = gate.port();
  pair.StartUsers();
  pair.StartPosts();
  for (int round = 0; round < 5; ++round) {
    gate.CutAfterFromTarget(400);
    gate.CutAll();
    for (int i = 0; i < 20; ++i) pair.CreateUser(absl::StrCat("user ", round, " ", i));
  }
  gate.CutAfterFromTarget(-1);
  gate.CutAll();
  pair.AwaitQuiet();
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM user_refs WHERE state = 1"), 100);
}

class DatabaseGateTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_SERVER(DatabaseGateTest);

TEST_P(DatabaseGateTest, CutConnectionsAreReplacedAndNoAcknowledgedPostIsLost) {
  Pair pair(GetParam(), false);
  TcpGate gate(pair.post_db().port());
  pair.post_db_gate = gate.port();
  pair.StartUsers();
  pair.StartPosts();
  const int64_t user = pair.CreateUser("ada");
  pair.CreatePost(user);
  std::atomic<int64_t> acknowledged = 1;
  std::atomic<int64_t> undocumented = 0;
  std::atomic<bool> over = false;
  std::vector<std::thread> writers;
  for (int writer = 0; writer < 4; ++writer) {
    writers.emplace_back([&] {
      while (!over) {
        const grpc::Status status = pair.TryCreatePost(user);
        if (status.ok()) {
          ++acknowledged;
        } else if (ReasonOf(status) != "DATABASE_UNAVAILABLE") {
          ++undocumented;
        }
      }
    });
  }
  for (int cut = 0; cut < 5; ++cut) {
    const int64_t before = acknowledged;
    gate.CutAll();
    EXPECT_TRUE(WaitFor([&] { return acknowledged > before + 20; })) << "it does not recover";
  }
  over = true;
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(undocumented, 0);
  // A COMMIT whose answer was cut off may have been stored as well.
  EXPECT_GE(pair.post_db().Number("SELECT COUNT(*) FROM posts"), acknowledged);
  pair.AwaitQuiet();
  EXPECT_EQ(pair.Orphans(), 0);
}

}  // namespace
}  // namespace crosskey::testing
