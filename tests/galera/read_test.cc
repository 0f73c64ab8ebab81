// A read comes after what was answered before, also where its node has not taken that in yet. No chance is needed: the
// node is kept behind.
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "tests/fault/calls.h"
#include "tests/galera/galera.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {
namespace {

using ::relation::v1::REFERENTIAL_ACTION_CASCADE;

class GaleraReadTest : public ::testing::Test {
 protected:
  GaleraReadTest() : cluster_("galera", {2, false, {}}) {
    cluster_.StartAll();
    user_ = CreateUser(cluster_.users(), "ada");
    posts_ = CreatePosts(cluster_.posts(), user_, 3);
    cluster_.AwaitQuiet();
  }

  // Deletes the user by one replica of user-service, while the node of a replica that has nothing to do with it is
  // behind. That replica is read meanwhile: it waits for its node, or it tells what is not so any more.
  void ExpectGone(int by, Side side, int replica, const std::function<grpc::Status()>& read) {
    std::optional<BehindNode> behind(std::in_place, cluster_.user_db(), cluster_.NodeOf(side, replica));
    user::v1::UserDeletion deletion;
    ASSERT_THAT(TryDelete(cluster_.users(by), user_, REFERENTIAL_ACTION_CASCADE, &deletion), GrpcOk());
    ASSERT_NE(deletion.state(), user::v1::DELETION_STATE_PENDING);
    std::atomic<bool> answered = false;
    grpc::Status status;
    std::thread reader([&] {
      status = read();
      answered = true;
    });
    // A stale answer comes at once.
    static_cast<void>(WaitFor([&] { return answered.load(); }, absl::Milliseconds(500)));
    behind.reset();
    reader.join();
    EXPECT_EQ(OutcomeOf(status), side == Side::kUsers ? "USER_NOT_FOUND" : "POST_NOT_FOUND");
    ExpectWhole(cluster_);
  }

  Cluster cluster_;
  int64_t user_ = 0;
  std::vector<int64_t> posts_;
};

TEST_F(GaleraReadTest, APostIsGoneOnEveryNodeOnceItsUserIs) {
  ExpectGone(0, Side::kPosts, 1, [&] { return TryGetPost(cluster_.posts(1), posts_.front()); });
}

TEST_F(GaleraReadTest, AListIsEmptyOnEveryNodeOnceItsUserIsGone) {
  ExpectGone(0, Side::kPosts, 1, [&]() -> grpc::Status {
    post::v1::ListPostsRequest request;
    request.set_user_id(user_);
    post::v1::ListPostsResponse response;
    const grpc::Status status = cluster_.posts(1).ListPosts(ContextFor(kCallLimit).get(), request, &response);
    EXPECT_THAT(status, GrpcOk());
    EXPECT_EQ(response.posts_size(), 0);
    return TryGetPost(cluster_.posts(1), posts_.front());
  });
}

TEST_F(GaleraReadTest, AUserIsGoneOnEveryNode) {
  ExpectGone(1, Side::kUsers, 0, [&] { return TryGetUser(cluster_.users(0), user_); });
}

}  // namespace
}  // namespace crosskey::testing
