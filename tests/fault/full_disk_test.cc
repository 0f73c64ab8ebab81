// The disk of a database is full for a while. Writes are refused by that name, reads go on, nothing is lost, and all is
// well once there is room again.
#include <optional>

#include <gtest/gtest.h>

#include "tests/fault/calls.h"
#include "tests/support/cluster.h"
#include "tests/support/mariadb_server.h"
#include "tests/support/small_disk.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"
#include "tests/support/watch.h"

namespace crosskey::testing {
namespace {

using ::relation::v1::REFERENTIAL_ACTION_CASCADE;

class FullDiskTest : public ::testing::TestWithParam<std::string> {
 protected:
  bool on_server() const { return GetParam() == "mariadb"; }

  double WriteProblem(Cluster& cluster) const {
    return MetricOf(cluster.metrics_port(Side::kPosts), R"(crosskey_db_write_problem{problem="full"})");
  }
};

INSTANTIATE_TEST_SUITE_P(Databases, FullDiskTest, ::testing::Values("sqlite", "mariadb"),
                         [](const auto& of) { return of.param; });

grpc::Status CreateLongPost(PostStub& posts, int64_t user, int64_t* id) {
  post::v1::CreatePostRequest request;
  request.set_title("long");
  // MariaDB 10.11 ends itself if the room for a text that does not fit into a page ends in the middle of it ("Out of
  // disk space in rollback"). A shorter one is refused with 1114.
  request.set_content(std::string(3'000, 'x'));
  request.set_user_id(user);
  post::v1::CreatePostResponse response;
  const auto context = ContextFor(kCallLimit);
  const grpc::Status status = posts.CreatePost(context.get(), request, &response);
  *id = response.post().id();
  return status;
}

TEST_P(FullDiskTest, RefusesWritesByNameAndLosesNothing) {
  ASSERT_TRUE(!on_server() || MariadbServer::IsInstalled()) << "deploy/install-packages test";
  const SmallDisk disk(on_server() ? 400 : 8);
  if (!disk.is_mounted()) GTEST_SKIP() << "no file system can be mounted here";
  std::optional<MariadbServer> server;
  if (on_server()) server.emplace();
  Cluster cluster(GetParam(), Cluster::Options());
  cluster.StartAll();
  const int64_t ada = CreateUser(cluster.users(), "ada");
  int64_t first = 0;
  ASSERT_THAT(CreateLongPost(cluster.posts(), ada, &first), GrpcOk());
  cluster.AwaitQuiet();

  disk.Fill();
  Outcomes outcomes;
  std::vector<int64_t> stored;
  ASSERT_TRUE(WaitFor([&] {
    int64_t id = 0;
    const grpc::Status status = CreateLongPost(cluster.posts(), ada, &id);
    if (status.ok()) stored.push_back(id);
    return outcomes.Add(status) == "DATABASE_NOT_WRITABLE";
  })) << outcomes.ToString();
  for (int i = 0; i < 20; ++i) {
    int64_t id = 0;
    const grpc::Status status = CreateLongPost(cluster.posts(), ada, &id);
    if (status.ok()) stored.push_back(id);
    outcomes.Add(status);
    EXPECT_THAT(TryGetPost(cluster.posts(), first), GrpcOk());
  }
  // The room may end in the middle of a COMMIT of a server, and then nobody knows.
  EXPECT_EQ(outcomes.Except({"OK", "DATABASE_NOT_WRITABLE", "DATABASE_UNAVAILABLE"}), "");
  EXPECT_EQ(WriteProblem(cluster), 1);
  EXPECT_TRUE(WaitFor([&] { return !cluster.Healthy(Side::kPosts); }));
  EXPECT_EQ(MetricOf(cluster.metrics_port(Side::kPosts), R"(crosskey_consumer_stalled{feed="user-service"})"), 0);

  disk.Empty();
  EXPECT_TRUE(WaitFor([&] { return cluster.Healthy(Side::kPosts) && cluster.Healthy(Side::kUsers); }));
  EXPECT_EQ(WriteProblem(cluster), 0);
  for (const int64_t id : stored) EXPECT_THAT(TryGetPost(cluster.posts(), id), GrpcOk());
  int64_t last = 0;
  EXPECT_THAT(CreateLongPost(cluster.posts(), ada, &last), GrpcOk());
  EXPECT_THAT(TryDelete(cluster.users(), ada, REFERENTIAL_ACTION_CASCADE), GrpcOk());
  cluster.AwaitQuiet();
  EXPECT_EQ(cluster.Orphans(), 0);
}

}  // namespace
}  // namespace crosskey::testing
