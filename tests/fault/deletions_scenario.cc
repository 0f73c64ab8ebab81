#include "tests/fault/deletions_scenario.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/pair.h"
#include "tests/support/secrets.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {
namespace {

using post::v1::PostService;
using user::v1::UserService;

constexpr int kUnknown = 6;
constexpr int kRefused = 2;    // a state of a deletion
constexpr int kCompleted = 5;  // likewise

// Does not use Context(), because a call to a service that is away has to fail soon.
grpc::Status Try(const std::function<grpc::Status(grpc::ClientContext*)>& call) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  return call(&context);
}

bool IsUnknown(const grpc::Status& status) {
  const std::string reason = ReasonOf(status);
  if (!reason.empty()) {
    return reason == "PEER_UNAVAILABLE" || reason == "DATABASE_UNAVAILABLE" || reason == "PARENT_DELETING" ||
           reason == "CONFLICT";
  }
  return status.error_code() == grpc::StatusCode::UNAVAILABLE || status.error_code() == grpc::StatusCode::CANCELLED;
}

}  // namespace

DeletionsScenario::DeletionsScenario(Cluster& cluster)
    : cluster_(cluster),
      known_{CreateUser(), 0},
      cascaded_{CreateUser(), 0},
      restricted_{CreateUser(), 0},
      empty_(CreateUser()) {
  for (int i = 0; i < kUnknown; ++i) unknown_.push_back({CreateUser(), 0});
  cluster_.AwaitQuiet();
  // Removes their references, as if their UserCreated had never come.
  for (const Written& user : unknown_) {
    cluster_.post_db().Run(absl::StrCat("DELETE FROM user_refs WHERE id = ", user.user));
  }
  EXPECT_TRUE(Write(cascaded_) && Write(cascaded_) && Write(restricted_));
  for (int i = 0; i < kUnknown; ++i) EXPECT_TRUE(Write(known_, &pinned_.emplace_back()));
  known_.acknowledged = 0;  // these posts do not count, because Attempt deletes them
  cluster_.AwaitQuiet();
}

int64_t DeletionsScenario::CreateUser() {
  static int count = 0;
  user::v1::CreateUserRequest request;
  request.set_username(absl::StrCat(kPrivate, " ", ++count));
  user::v1::CreateUserResponse response;
  EXPECT_THAT(Invoke(cluster_.users(), &UserService::Stub::CreateUser, request, &response), GrpcOk());
  return response.user().id();
}

bool DeletionsScenario::Write(Written& to, int64_t* id) {
  post::v1::CreatePostRequest request;
  request.set_user_id(to.user);
  request.set_title("title");
  post::v1::CreatePostResponse response;
  const grpc::Status status =
      Try([&](grpc::ClientContext* context) { return cluster_.posts().CreatePost(context, request, &response); });
  EXPECT_TRUE(status.ok() || IsUnknown(status)) << ReasonOf(status) << " " << status.error_message();
  if (status.ok()) ++to.acknowledged;
  if (status.ok() && id != nullptr) *id = response.post().id();
  return status.ok();
}

bool DeletionsScenario::PinAndDeletePost(int64_t post) {
  user::v1::UpdateUserRequest pin;
  pin.mutable_user()->set_id(known_.user);
  pin.mutable_user()->set_pinned_post_id(post);
  user::v1::UpdateUserResponse pinned;
  const grpc::Status status =
      Try([&](grpc::ClientContext* context) { return cluster_.users().UpdateUser(context, pin, &pinned); });
  if (IsUnknown(status)) return false;
  // FOREIGN_KEY_VIOLATION comes once all posts have been used.
  EXPECT_TRUE(status.ok() || ReasonOf(status) == "FOREIGN_KEY_VIOLATION") << ReasonOf(status) << status.error_message();
  post::v1::DeletePostRequest remove;
  remove.set_id(post);
  remove.set_allow_missing(true);
  post::v1::DeletePostResponse removed;
  const grpc::Status deleted =
      Try([&](grpc::ClientContext* context) { return cluster_.posts().DeletePost(context, remove, &removed); });
  EXPECT_TRUE(deleted.ok() || IsUnknown(deleted)) << ReasonOf(deleted) << deleted.error_message();
  return deleted.ok();
}

bool DeletionsScenario::Delete(int64_t user, bool restrict, bool expect_refusal) {
  user::v1::DeleteUserRequest request;
  request.set_id(user);
  if (restrict) request.set_on_delete(::relation::v1::REFERENTIAL_ACTION_RESTRICT);
  user::v1::DeleteUserResponse response;
  const grpc::Status status =
      Try([&](grpc::ClientContext* context) { return cluster_.users().DeleteUser(context, request, &response); });
  if (IsUnknown(status)) return false;
  if (expect_refusal) {
    EXPECT_EQ(ReasonOf(status), "RESTRICTED") << status.error_message();
  } else {
    // A deletion whose answer was lost may have come to its end since.
    EXPECT_TRUE(status.ok() || ReasonOf(status) == "USER_NOT_FOUND") << ReasonOf(status) << status.error_message();
  }
  return true;
}

bool DeletionsScenario::Attempt() {
  bool done = Write(known_);
  done = Write(unknown_[asked_ % unknown_.size()]) && done;
  done = PinAndDeletePost(pinned_[asked_ % pinned_.size()]) && done;
  ++asked_;
  done = Delete(restricted_.user, true, true) && done;
  done = Delete(empty_, true, false) && done;
  done = Delete(cascaded_.user, false, false) && done;
  return done;
}

bool DeletionsScenario::Exists(int64_t user) {
  return cluster_.user_db().Number(absl::StrCat("SELECT COUNT(*) FROM users WHERE state = 1 AND id = ", user)) == 1;
}

void DeletionsScenario::Check() {
  cluster_.AwaitQuiet();
  EXPECT_EQ(cluster_.Orphans(), 0);
  EXPECT_FALSE(Exists(cascaded_.user));
  EXPECT_FALSE(Exists(empty_));
  std::vector<Written> kept = unknown_;
  kept.push_back(known_);
  kept.push_back(restricted_);
  for (const Written& user : kept) {
    EXPECT_TRUE(Exists(user.user)) << user.user;
    EXPECT_GE(cluster_.post_db().Number(
                  absl::StrCat("SELECT COUNT(*) FROM posts p JOIN user_refs r ON r.id = p.user_id WHERE "
                               "r.state = 1 AND p.user_id = ",
                               user.user)),
              user.acknowledged);
  }
  const int64_t completed =
      cluster_.user_db().Number(absl::StrCat("SELECT COUNT(*) FROM user_deletions WHERE state = ", kCompleted));
  const int64_t refused =
      cluster_.user_db().Number(absl::StrCat("SELECT COUNT(*) FROM user_deletions WHERE state = ", kRefused));
  EXPECT_EQ(cluster_.user_db().Number("SELECT COUNT(*) FROM user_deletions"), completed + refused);
  EXPECT_EQ(cluster_.user_db().Number("SELECT COUNT(*) FROM outbox WHERE type = 'user.v1.UserDeleted'"), completed);
  EXPECT_EQ(cluster_.post_db().Number("SELECT COUNT(*) FROM outbox WHERE type = 'post.v1.UserPostsReclaimed'"),
            completed);
  for (TestDatabase* database : {&cluster_.user_db(), &cluster_.post_db()}) {
    const int64_t events = database->Number("SELECT COUNT(*) FROM outbox");
    EXPECT_EQ(database->Number("SELECT COUNT(DISTINCT sequence) FROM outbox"), events);
    EXPECT_EQ(database->Number("SELECT MAX(sequence) FROM outbox"), events);
    EXPECT_EQ(database->Number("SELECT head FROM feed"), events);
  }
}

}  // namespace crosskey::testing
