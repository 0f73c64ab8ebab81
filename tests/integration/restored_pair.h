// For the drills: a pair of services whose databases go back, and what is expected of it then.
#pragma once

#include <map>
#include <string>

#include <gtest/gtest.h>

#include "common/relation/repair/check.h"
#include "common/relation/repair/repair.h"
#include "common/rpc/listener.h"
#include "tests/integration/api_client.h"
#include "tests/integration/health.h"
#include "tests/support/faults.h"
#include "tests/support/metric_of.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {

// A pair with some rows, and what every drill does to it.
class RestoredPair : public DatabaseTest {
 protected:
  void SetUp() override {
    ada_ = pair_.CreateUser("ada");
    bob_ = pair_.CreateUser("bob");
    post_ = pair_.CreatePost(ada_);
    of_bob_ = pair_.CreatePost(bob_);
    pair_.AwaitQuiet();
  }
  void TearDown() override { ClearFaults(); }

  void RestoreUsers(const std::string& backup) {
    pair_.StopUsers();
    pair_.user_db().Restore(backup);
    pair_.StartUsers();
  }
  void RestorePosts(const std::string& backup) {
    pair_.StopPosts();
    pair_.post_db().Restore(backup);
    pair_.StartPosts();
  }
  const relation::Sides& Users() { return pair_.user_app().sides(); }
  const relation::Sides& Posts() { return pair_.post_app().sides(); }

  static relation::Report CheckOf(const relation::Sides& sides) {
    auto report = relation::Check(sides).Run();
    EXPECT_THAT(report, IsOk());
    return report.ok() ? *report : relation::Report();
  }
  static relation::Repair::Done RepairOf(const relation::Sides& sides) {
    auto done = relation::Repair(sides).Run();
    EXPECT_THAT(done, IsOk());
    return done.ok() ? *done : relation::Repair::Done();
  }
  grpc::Status TryCreateUser(const std::string& name) {
    user::v1::CreateUserRequest request;
    request.set_username(name);
    user::v1::CreateUserResponse response;
    return Invoke(pair_.users(), &user::v1::UserService::Stub::CreateUser, request, &response);
  }
  // The service takes no writes, and everything that shows its state says why.
  void ExpectLost(server::Service& service, const std::string& name, const grpc::Status& write) {
    EXPECT_THAT(write, GrpcError(grpc::StatusCode::FAILED_PRECONDITION, "HISTORY_MISMATCH"));
    EXPECT_EQ(MetricOf(service.metrics(), "crosskey_history_mismatch", {{"service", name}}), 1);
    ExpectUnhealthyAndReady(service, rpc::kHistoryHealth);
  }
  // Both checks are clean, all promises hold, and both services work.
  void ExpectSound() {
    EXPECT_TRUE(WaitFor([&] { return CheckOf(Posts()).is_clean() && CheckOf(Users()).is_clean(); }))
        << CheckOf(Posts()).history << " / " << CheckOf(Users()).history;
    pair_.AwaitQuiet();
    EXPECT_EQ(pair_.Orphans(), 0);
    const int64_t user = pair_.CreateUser("afterwards");
    const int64_t post = pair_.CreatePost(user);
    EXPECT_THAT(pair_.TryGetPost(post), GrpcOk());
    pair_.Delete(user);
    pair_.AwaitState(user, user::v1::DELETION_STATE_COMPLETED);
    pair_.AwaitQuiet();
    EXPECT_EQ(pair_.Orphans(), 0);
    EXPECT_EQ(pair_.user_db().Number("SELECT COUNT(*) FROM user_deletions WHERE state NOT IN (2, 5)"), 0);
  }

  Pair pair_{GetParam()};
  int64_t ada_ = 0;
  int64_t bob_ = 0;
  int64_t post_ = 0;
  int64_t of_bob_ = 0;
};

}  // namespace crosskey::testing
