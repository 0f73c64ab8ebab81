// A file system that is read-only, with the databases on it. Processes that start there answer reads, and refuse writes
// by that name. Once it is writable again, the same processes write.
#include <csignal>

#include <gtest/gtest.h>

#include "tests/fault/calls.h"
#include "tests/support/cluster.h"
#include "tests/support/small_disk.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"
#include "tests/support/watch.h"

namespace crosskey::testing {
namespace {

using ::relation::v1::REFERENTIAL_ACTION_CASCADE;

constexpr int kMebibytes = 32;

// How the processes of before have ended. One that was killed leaves what was written last in the log.
class ReadOnlyDiskTest : public ::testing::TestWithParam<std::string> {
 protected:
  static void End(Cluster& cluster, Side side) {
    if (GetParam() == "killed") return cluster.Kill(side);
    cluster.process(side).Signal(SIGTERM);
    EXPECT_TRUE(cluster.process(side).Wait().has_value());
    cluster.Kill(side);
  }

  static double WriteProblem(Cluster& cluster, Side side) {
    return MetricOf(cluster.metrics_port(side), R"(crosskey_db_write_problem{problem="read_only"})");
  }
};

INSTANTIATE_TEST_SUITE_P(Processes, ReadOnlyDiskTest, ::testing::Values("stopped", "killed"),
                         [](const auto& of) { return of.param; });

TEST_P(ReadOnlyDiskTest, IsReadAndWrittenAgainLater) {
  const SmallDisk disk(kMebibytes);
  if (!disk.is_mounted()) GTEST_SKIP() << "no file system can be mounted here";
  Cluster cluster("sqlite", Cluster::Options());
  cluster.StartAll();
  const int64_t ada = CreateUser(cluster.users(), "ada");
  int64_t post = 0;
  ASSERT_THAT(TryCreatePost(cluster.posts(), ada, &post), GrpcOk());
  cluster.AwaitQuiet();
  for (const Side side : {Side::kUsers, Side::kPosts}) End(cluster, side);

  disk.SetReadOnly(true);
  for (const Side side : {Side::kUsers, Side::kPosts}) cluster.Start(side, 0, {}, false);
  ASSERT_TRUE(WaitFor([&] { return TryGetPost(cluster.posts(), post).ok(); }))
      << cluster.process(Side::kPosts).Output();
  EXPECT_TRUE(WaitFor([&] { return TryGetUser(cluster.users(), ada).ok(); }));
  for (int i = 0; i < 3; ++i) {
    const grpc::Status refused = TryCreatePost(cluster.posts(), ada);
    EXPECT_THAT(refused, GrpcError(grpc::StatusCode::UNAVAILABLE, "DATABASE_NOT_WRITABLE"));
    const auto info = DetailOf<google::rpc::ErrorInfo>(refused);
    ASSERT_TRUE(info.has_value());
    EXPECT_EQ(info->metadata().at("why"), "read_only");
    EXPECT_THAT(TryDelete(cluster.users(), ada, REFERENTIAL_ACTION_CASCADE),
                GrpcError(grpc::StatusCode::UNAVAILABLE, "DATABASE_NOT_WRITABLE"));
    EXPECT_THAT(TryGetPost(cluster.posts(), post), GrpcOk());
  }
  for (const Side side : {Side::kUsers, Side::kPosts}) {
    EXPECT_FALSE(cluster.Healthy(side));
    EXPECT_EQ(WriteProblem(cluster, side), 1);
  }

  disk.SetReadOnly(false);
  for (const Side side : {Side::kUsers, Side::kPosts}) {
    EXPECT_TRUE(WaitFor([&] { return cluster.Healthy(side); })) << cluster.process(side).Output();
    EXPECT_EQ(WriteProblem(cluster, side), 0);
  }
  EXPECT_THAT(TryGetPost(cluster.posts(), post), GrpcOk());
  EXPECT_THAT(TryCreatePost(cluster.posts(), ada), GrpcOk());
  EXPECT_THAT(TryDelete(cluster.users(), ada, REFERENTIAL_ACTION_CASCADE), GrpcOk());
  cluster.AwaitQuiet();
  EXPECT_EQ(cluster.Orphans(), 0);
  for (TestDatabase* database : {&cluster.user_db(), &cluster.post_db()}) {
    EXPECT_EQ(database->Query("PRAGMA integrity_check").front().front(), "ok");
  }
}

}  // namespace
}  // namespace crosskey::testing
