// Tests a deadlock and a lock timeout, reported by the server itself, at every statement that the protocol executes.
#include <optional>
#include <set>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/events/uuid.h"
#include "tests/support/faults.h"
#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using post::v1::PostService;
using ::relation::v1::REFERENTIAL_ACTION_RESTRICT;

class ConflictTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_SERVER(ConflictTest);

// Makes every kind of write and of deletion once. Each call has to answer as usual, although its transaction may meet a
// conflict once.
class Round {
 public:
  explicit Round(Pair& pair) : pair_(pair), number_(++count_) {}

  void Run() {
    const int64_t from = CreateUser("from");
    const int64_t to = CreateUser("to");
    const int64_t empty = CreateUser("empty");
    const int64_t fan = CreateUser("fan");
    EXPECT_TRUE(testing::WaitFor([&] { return Known(to) && Known(from) && Known(empty) && Known(fan); }));
    pair_.post_db().Run(absl::StrCat("DELETE FROM user_refs WHERE id = ", to));
    const int64_t moved = pair_.CreatePost(from);
    const int64_t removed = pair_.CreatePost(from);
    pair_.CreatePosts(from, 2);
    Move(moved, to);  // post-service does not know `to`, so it has to ask
    Like(moved, fan);
    Unlike(moved, fan);
    Like(moved, fan);
    Like(removed, fan);
    Pin(fan, removed);  // user-service does not know the post, so it has to ask
    Remove(removed);
    EXPECT_TRUE(testing::WaitFor([&] { return !PinOf(fan).has_value(); }));
    EXPECT_THAT(pair_.TryDelete(from, REFERENTIAL_ACTION_RESTRICT),
                GrpcError(grpc::StatusCode::FAILED_PRECONDITION, "RESTRICTED"));
    EXPECT_THAT(pair_.TryDelete(empty, REFERENTIAL_ACTION_RESTRICT), GrpcOk());
    EXPECT_EQ(pair_.Delete(from).state(), user::v1::DELETION_STATE_RECLAIMING);
    EXPECT_THAT(pair_.TryGetPost(moved), GrpcOk());
    EXPECT_TRUE(pair_.ListPostIds(from).empty());
    pair_.AwaitState(empty, user::v1::DELETION_STATE_COMPLETED);
    pair_.AwaitState(from, user::v1::DELETION_STATE_COMPLETED);
    EXPECT_EQ(pair_.GetDeletion(from).posts(), 2);  // of 4 one has moved, and one is removed
    pair_.Delete(fan);
    pair_.AwaitState(fan, user::v1::DELETION_STATE_COMPLETED);
    EXPECT_EQ(pair_.GetDeletion(fan).posts(), 0);
    pair_.Delete(to);
    pair_.AwaitState(to, user::v1::DELETION_STATE_COMPLETED);
  }

 private:
  int64_t CreateUser(const std::string& name) { return pair_.CreateUser(absl::StrCat(name, number_)); }

  bool Known(int64_t user) {
    return pair_.post_db().Number(absl::StrCat("SELECT COUNT(*) FROM user_refs WHERE id = ", user)) == 1;
  }

  void Move(int64_t post, int64_t user) {
    post::v1::UpdatePostRequest request;
    request.mutable_post()->set_id(post);
    request.mutable_post()->set_user_id(user);
    post::v1::UpdatePostResponse response;
    EXPECT_THAT(Invoke(pair_.posts(), &PostService::Stub::UpdatePost, request, &response), GrpcOk());
  }

  void Remove(int64_t post) {
    post::v1::DeletePostRequest request;
    request.set_id(post);
    post::v1::DeletePostResponse response;
    EXPECT_THAT(Invoke(pair_.posts(), &PostService::Stub::DeletePost, request, &response), GrpcOk());
  }

  // With a request_id, so that the answer is stored as well.
  void Like(int64_t post, int64_t user) {
    post::v1::LikePostRequest request;
    request.set_post_id(post);
    request.set_user_id(user);
    request.set_request_id(NewUuid());
    post::v1::LikePostResponse response;
    EXPECT_THAT(Invoke(pair_.posts(), &PostService::Stub::LikePost, request, &response), GrpcOk());
  }

  void Unlike(int64_t post, int64_t user) {
    post::v1::UnlikePostRequest request;
    request.set_post_id(post);
    request.set_user_id(user);
    post::v1::UnlikePostResponse response;
    EXPECT_THAT(Invoke(pair_.posts(), &PostService::Stub::UnlikePost, request, &response), GrpcOk());
  }

  void Pin(int64_t user, int64_t post) {
    user::v1::UpdateUserRequest request;
    request.mutable_user()->set_id(user);
    request.mutable_user()->set_pinned_post_id(post);
    user::v1::UpdateUserResponse response;
    EXPECT_THAT(Invoke(pair_.users(), &user::v1::UserService::Stub::UpdateUser, request, &response), GrpcOk());
  }

  std::optional<int64_t> PinOf(int64_t user) {
    user::v1::User read;
    EXPECT_THAT(pair_.TryGetUser(user, &read), GrpcOk());
    return read.has_pinned_post_id() ? std::optional<int64_t>(read.pinned_post_id()) : std::nullopt;
  }

  static int count_;
  Pair& pair_;
  const int number_;
};

int Round::count_ = 0;

TEST_P(ConflictTest, IsInvisibleToTheClientAtEveryStatement) {
  Pair pair(GetParam());
  pair.user_sql().Reset();
  pair.post_sql().Reset();
  Round(pair).Run();
  std::set<std::string> statements;
  for (const auto& [name, counted] : pair.user_sql().counted()) statements.insert(name);
  for (const auto& [name, counted] : pair.post_sql().counted()) statements.insert(name);
  EXPECT_GE(statements.size(), 40u);
  for (const std::string& statement : statements) {
    for (const char* error : {"1213", "1205"}) {
      SCOPED_TRACE(absl::StrCat(statement, "=", error));
      ClearFaults();
      SetFault(absl::StrCat("sql:", statement, "=", error));
      Round(pair).Run();
      if (TimesReached("sql:" + statement) == 0) {
        // A service executes this statement only when it starts, or when a stream starts.
        pair.StopUsers();
        pair.StopPosts();
        pair.StartUsers();
        pair.StartPosts();
        Round(pair).Run();
      }
      // Or when it compares its history with the other one's, every 2 s, while rows of the round are there.
      EXPECT_TRUE(WaitFor([&] {
        if (TimesReached("sql:" + statement) == 0) Round(pair).Run();
        return TimesReached("sql:" + statement) > 0;
      })) << "not executed again";
    }
  }
  ClearFaults();
  pair.AwaitQuiet();
  EXPECT_EQ(pair.Orphans(), 0);
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM posts"), 0);
}

}  // namespace
}  // namespace crosskey::testing
