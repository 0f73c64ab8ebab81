// One of several replicas does the background work, and another one takes over.
#include <gtest/gtest.h>

#include "tests/support/metric_of.h"
#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tcp_gate.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

// A SQLite database is for one process.
std::vector<std::string> Servers() {
  std::vector<std::string> servers = Backends();
  servers.erase(servers.begin());
  return servers;
}

class LeaseTest : public DatabaseTest {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(LeaseTest);
INSTANTIATE_TEST_SUITE_P(Databases, LeaseTest, ::testing::ValuesIn(Servers()),
                         [](const ::testing::TestParamInfo<std::string>& of) { return of.param; });

class OneProcessLeaseTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(OneProcessLeaseTest);

std::string Holder(const TestDatabase& database, const std::string& name) {
  return database.Query("SELECT holder FROM leases WHERE name = '" + name + "'").at(0).at(0);
}

// The last event that this process has consumed.
double Consumed(server::Service& service) { return MetricOf(service.metrics(), "crosskey_consumer_sequence"); }

void DeleteAUser(Pair& pair, const std::string& name) {
  const int64_t user = pair.CreateUser(name);
  pair.CreatePosts(user, 2);
  pair.Delete(user);
  pair.AwaitState(user, user::v1::DELETION_STATE_COMPLETED);
  pair.AwaitQuiet();
}

TEST_P(OneProcessLeaseTest, EveryTaskTakesItsLeaseAndGivesItBack) {
  Pair pair(GetParam());
  const std::string missing = "SELECT COUNT(*) FROM leases WHERE holder = ''";
  EXPECT_TRUE(WaitFor([&] { return pair.user_db().Number(missing) == 0 && pair.post_db().Number(missing) == 0; }));
  pair.StopUsers();
  pair.StopPosts();
  const std::string held = "SELECT COUNT(*) FROM leases WHERE holder <> '' OR expires_at <> 0";
  EXPECT_EQ(pair.user_db().Number(held), 0);
  EXPECT_EQ(pair.post_db().Number(held), 0);
}

TEST_P(LeaseTest, OneReplicaConsumesAndTheOtherTakesOverWhenItStops) {
  Pair pair(GetParam());
  DeleteAUser(pair, "ada");
  pair.StartReplicas();
  const std::string user_holder = Holder(pair.user_db(), "consumer");
  const std::string post_holder = Holder(pair.post_db(), "consumer");
  DeleteAUser(pair, "grace");
  EXPECT_EQ(Consumed(pair.replica_user_app().service()), 0);
  EXPECT_EQ(Consumed(pair.replica_post_app().service()), 0);
  EXPECT_EQ(Holder(pair.user_db(), "consumer"), user_holder);
  EXPECT_EQ(Holder(pair.post_db(), "consumer"), post_holder);

  const int64_t user = pair.CreateUser("edsger");
  pair.CreatePost(user);
  pair.StopUsers();
  pair.StopPosts();
  user::v1::DeleteUserRequest request;
  request.set_id(user);
  user::v1::DeleteUserResponse response;
  ASSERT_THAT(Invoke(pair.replica_users(), &user::v1::UserService::Stub::DeleteUser, request, &response), GrpcOk());
  EXPECT_TRUE(
      WaitFor([&] { return pair.user_db().Number("SELECT COUNT(*) FROM user_deletions WHERE state <> 5") == 0; }));
  pair.AwaitQuiet();
  EXPECT_GT(Consumed(pair.replica_user_app().service()), 0);
  EXPECT_GT(Consumed(pair.replica_post_app().service()), 0);
  EXPECT_NE(Holder(pair.post_db(), "reclaim"), post_holder);
}

TEST_P(LeaseTest, AConsumerThatLostItsLeaseStopsStreaming) {
  Pair pair(GetParam());
  DeleteAUser(pair, "ada");
  // The lease is gone as if another replica had taken it after this process was held up for longer than its term. This
  // process looks again only with the next bookmark.
  pair.post_db().Run(absl::StrCat("UPDATE leases SET holder = 'another', expires_at = ",
                                  absl::ToUnixMicros(absl::Now() + absl::Seconds(25)), " WHERE name = 'consumer'"));
  const auto streams = [&] {
    return MetricOf(pair.user_app().service().metrics(), "crosskey_calls_in_flight",
                    {{"grpc_service", "event.v1.EventService"}});
  };
  EXPECT_TRUE(WaitFor([&] { return streams() == 0; }));
  EXPECT_EQ(Holder(pair.post_db(), "consumer"), "another");
  const double consumed = Consumed(pair.post_app().service());
  const int64_t user = pair.CreateUser("grace");
  // Without the lease the task only looks for it.
  const auto looks = [&] { return pair.post_sql().counted()["leases.hold"].statements; };
  const int64_t before = looks();
  EXPECT_TRUE(WaitFor([&] { return looks() > before + 3; }));
  EXPECT_EQ(Consumed(pair.post_app().service()), consumed);

  pair.post_db().Run("UPDATE leases SET expires_at = 0 WHERE name = 'consumer'");
  pair.AwaitQuiet();
  EXPECT_GT(Consumed(pair.post_app().service()), consumed);
  EXPECT_THAT(pair.TryCreatePost(user), GrpcOk());
}

// A replica that cannot reach the peer must not keep the lease from one that can.
TEST_P(LeaseTest, AConsumerThatHearsNothingLetsAnotherTry) {
  Pair pair(GetParam(), false);
  TcpGate gate(pair.user_internal_port());
  pair.post_to_user_gate = gate.port();
  pair.StartUsers();
  pair.StartPosts();
  DeleteAUser(pair, "ada");
  pair.StartReplicas();
  gate.Refuse(true);
  gate.CutAll();
  const int64_t user = pair.CreateUser("grace");
  EXPECT_TRUE(WaitFor(
      [&] { return pair.post_db().Number("SELECT COUNT(*) FROM user_refs WHERE id = " + std::to_string(user)) == 1; }));
  EXPECT_GT(Consumed(pair.replica_post_app().service()), 0);
  // The trimming needs the peer as well, so its lease must not be kept either.
  EXPECT_TRUE(WaitFor([&] { return Holder(pair.post_db(), "trim") == Holder(pair.post_db(), "consumer"); }));
}

}  // namespace
}  // namespace crosskey::testing
