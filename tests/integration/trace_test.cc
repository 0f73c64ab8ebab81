// One trace id follows a cascade through both services, whoever does the work and whenever.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/faults.h"
#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using ::testing::Contains;
using ::testing::Not;

constexpr char kTrace[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
constexpr char kOther[] = "00-11111111111111111111111111111111-2222222222222222-01";

class TraceTest : public DatabaseTest {
 protected:
  TraceTest() : pair_(GetParam()) {}

  // A user with a post that another user pins.
  int64_t MakeUser() {
    const int64_t user = pair_.CreateUser("ada");
    const int64_t post = pair_.CreatePost(user);
    user::v1::UpdateUserRequest pin;
    pin.mutable_user()->set_id(pair_.CreateUser("grace"));
    pin.mutable_user()->set_pinned_post_id(post);
    user::v1::UpdateUserResponse pinned;
    EXPECT_THAT(Invoke(pair_.users(), &user::v1::UserService::Stub::UpdateUser, pin, &pinned), GrpcOk());
    pair_.AwaitQuiet();
    return user;
  }

  grpc::Status Delete(int64_t user, const std::string& traceparent) {
    const auto context = Context();
    context->AddMetadata("traceparent", traceparent);
    user::v1::DeleteUserRequest request;
    request.set_id(user);
    user::v1::DeleteUserResponse response;
    return pair_.users().DeleteUser(context.get(), request, &response);
  }

  std::vector<std::string> TypesWithTrace(TestDatabase& database) {
    std::vector<std::string> types;
    for (const auto& row : database.Query(absl::StrCat("SELECT type FROM outbox WHERE traceparent = '", kTrace, "'"))) {
      types.push_back(row[0]);
    }
    return types;
  }

  void ExpectAllTraced() {
    EXPECT_THAT(TypesWithTrace(pair_.user_db()), Contains("user.v1.UserDeleted"));
    EXPECT_THAT(TypesWithTrace(pair_.post_db()), Contains("post.v1.PostsDeleted"));
    EXPECT_THAT(TypesWithTrace(pair_.post_db()), Contains("post.v1.UserPostsReclaimed"));
    // user-service clears the pin of the post, because of post-service's event.
    EXPECT_THAT(TypesWithTrace(pair_.user_db()), Contains("user.v1.UserUpdated"));
    EXPECT_THAT(TypesWithTrace(pair_.user_db()), Not(Contains("user.v1.UserCreated")));
  }

  Pair pair_;
};
CROSSKEY_ON_EVERY_DATABASE(TraceTest);

TEST_P(TraceTest, FollowsACascadeThroughBothServices) {
  const int64_t user = MakeUser();
  EXPECT_THAT(Delete(user, kTrace), GrpcOk());
  pair_.AwaitState(user, user::v1::DELETION_STATE_COMPLETED);
  pair_.AwaitQuiet();
  ExpectAllTraced();
}

// The intent is stored, and another call goes on with it in a trace of its own, as after a crash.
TEST_P(TraceTest, IsThatOfTheCallThatBeganTheDeletion) {
  pair_.hold_recovery = true;
  const int64_t user = MakeUser();
  SetFault("deletion.decide.before_commit=fail");
  EXPECT_THAT(Delete(user, kTrace), Not(GrpcOk()));
  ClearFaults();
  EXPECT_EQ(pair_.GetDeletion(user).state(), user::v1::DELETION_STATE_INTENT);
  EXPECT_THAT(Delete(user, kOther), GrpcOk());
  pair_.AwaitState(user, user::v1::DELETION_STATE_COMPLETED);
  pair_.AwaitQuiet();
  ExpectAllTraced();
}

}  // namespace
}  // namespace crosskey::testing
