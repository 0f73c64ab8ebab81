// The health of a service as the probes of an orchestrator see it: "readiness" follows its database and nothing else,
// "liveness" only the process.
#include <gtest/gtest.h>

#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/fault/calls.h"
#include "tests/support/cluster.h"
#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using grpc::health::v1::HealthCheckResponse;

bool Serves(const Cluster& cluster, Side side, const std::string& probe) {
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(probe);
  HealthCheckResponse response;
  const auto stub = grpc::health::v1::Health::NewStub(OpenChannel(cluster.port(side)));
  EXPECT_THAT(stub->Check(ContextFor(absl::Seconds(10)).get(), request, &response), GrpcOk());
  return response.status() == HealthCheckResponse::SERVING;
}

class ProbeTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(ProbeTest);

class ProbeTestOnServer : public DatabaseTest {};
CROSSKEY_ON_EVERY_SERVER(ProbeTestOnServer);

TEST_P(ProbeTestOnServer, ReadinessFollowsTheDatabaseAndLivenessDoesNot) {
  Cluster::Options options;
  options.gates = true;
  options.shipped = true;
  Cluster cluster(GetParam(), options);
  cluster.StartAll();
  for (const Side side : {Side::kUsers, Side::kPosts}) {
    const Side other = side == Side::kUsers ? Side::kPosts : Side::kUsers;
    EXPECT_TRUE(Serves(cluster, side, "readiness"));
    cluster.database_gate(side)->Refuse(true);
    cluster.database_gate(side)->CutAll();
    EXPECT_TRUE(WaitFor([&] { return !Serves(cluster, side, "readiness"); }));
    EXPECT_TRUE(Serves(cluster, side, "liveness"));
    EXPECT_TRUE(Serves(cluster, other, "readiness"));
    cluster.database_gate(side)->Heal();
    EXPECT_TRUE(WaitFor([&] { return Serves(cluster, side, "readiness"); }));
    EXPECT_TRUE(Serves(cluster, side, "liveness"));
  }
}

TEST_P(ProbeTest, APeerThatIsAwayChangesNeither) {
  for (const Side side : {Side::kUsers, Side::kPosts}) {
    Cluster::Options options;
    options.shipped = true;
    Cluster cluster(GetParam(), options);
    cluster.StartAll();
    const int64_t user = CreateUser(cluster.users(), "ada");
    cluster.AwaitQuiet();
    cluster.Kill(side == Side::kUsers ? Side::kPosts : Side::kUsers);
    // This call shows that the service has noticed that its peer is away.
    const auto call = [&] {
      return side == Side::kUsers
                 ? TryDelete(cluster.users(), user, ::relation::v1::REFERENTIAL_ACTION_RESTRICT, nullptr)
                 : TryCreatePost(cluster.posts(), user + 1'000'000);
    };
    EXPECT_THAT(call(), GrpcError(grpc::StatusCode::UNAVAILABLE, "PEER_UNAVAILABLE"));
    EXPECT_TRUE(Serves(cluster, side, "readiness"));
    EXPECT_TRUE(Serves(cluster, side, "liveness"));
  }
}

}  // namespace
}  // namespace crosskey::testing
