// What was answered is so for every replica, also for one whose node has not taken it in yet. Nothing is left to chance
// here: the node is kept behind.
#include <atomic>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

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
    post_ = CreatePosts(cluster_.posts(), user_, 1).front();
    cluster_.AwaitQuiet();
  }

  using Calls = std::vector<std::function<void()>>;

  // While the node of a replica is behind: makes one call, and then others, at once, about what the first has done. A
  // replica that waits for its node answers once the node may go on; one that does not has answered before.
  void WhileBehind(Side side, int replica, const std::function<void()>& before, const Calls& calls) {
    std::optional<BehindNode> behind(std::in_place, cluster_.user_db(), cluster_.NodeOf(side, replica));
    before();
    std::atomic<size_t> answered = 0;
    std::vector<std::thread> readers;
    for (const auto& call : calls) {
      readers.emplace_back([&] {
        call();
        ++answered;
      });
    }
    static_cast<void>(WaitFor([&] { return answered == readers.size(); }, absl::Milliseconds(500)));
    behind.reset();
    for (std::thread& reader : readers) reader.join();
    ExpectWhole(cluster_);
  }

  // By one of the replicas that the node does not concern, and so that none of the posts is there any more.
  void Delete(int replica) {
    user::v1::UserDeletion deletion;
    ASSERT_THAT(TryDelete(cluster_.users(replica), user_, REFERENTIAL_ACTION_CASCADE, &deletion), GrpcOk());
    ASSERT_NE(deletion.state(), user::v1::DELETION_STATE_PENDING);
  }

  Cluster cluster_;
  int64_t user_ = 0;
  int64_t post_ = 0;
};

TEST_F(GaleraReadTest, ThePostsOfADeletedUserAreGoneOnEveryNode) {
  const auto list = [&] {
    post::v1::ListPostsRequest request;
    request.set_user_id(user_);
    post::v1::ListPostsResponse response;
    EXPECT_THAT(cluster_.posts(1).ListPosts(ContextFor(kCallLimit).get(), request, &response), GrpcOk());
    EXPECT_EQ(response.posts_size(), 0);
  };
  const auto get = [&] { EXPECT_EQ(OutcomeOf(TryGetPost(cluster_.posts(1), post_)), "POST_NOT_FOUND"); };
  WhileBehind(Side::kPosts, 1, [&] { Delete(0); }, {list, get});
}

TEST_F(GaleraReadTest, AUserIsGoneOnEveryNode) {
  const auto get = [&] { EXPECT_EQ(OutcomeOf(TryGetUser(cluster_.users(0), user_)), "USER_NOT_FOUND"); };
  WhileBehind(Side::kUsers, 0, [&] { Delete(1); }, {get});
}

// The replica of user-service asks the one of post-service whose node is behind.
TEST_F(GaleraReadTest, APostThatWasCreatedCanBePinnedEverywhere) {
  int64_t post = 0;
  const auto create = [&] { ASSERT_THAT(TryCreatePost(cluster_.posts(0), user_, &post), GrpcOk()); };
  const auto pin = [&] {
    user::v1::UpdateUserRequest request;
    request.mutable_user()->set_id(user_);
    request.mutable_user()->set_pinned_post_id(post);
    request.mutable_update_mask()->add_paths("pinned_post_id");
    user::v1::UpdateUserResponse response;
    EXPECT_THAT(cluster_.users(1).UpdateUser(ContextFor(kCallLimit).get(), request, &response), GrpcOk());
  };
  WhileBehind(Side::kPosts, 1, create, {pin});
}

}  // namespace
}  // namespace crosskey::testing
