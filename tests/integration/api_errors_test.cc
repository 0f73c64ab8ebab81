// Tests the general errors of proto/README.md: the code, the reason, exactly the details, and every variable of the
// message. An error of a single feature is tested with that feature.
#include <thread>

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/db/database.h"
#include "tests/integration/api_client.h"
#include "tests/support/free_port.h"
#include "tests/support/held_row.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using grpc::StatusCode;
using post::v1::CreatePostRequest;
using post::v1::UpdatePostRequest;
using ::testing::IsEmpty;
using user::v1::DeleteUserRequest;
using user::v1::UpdateUserRequest;
using user::v1::UserService;

class ApiErrors : public ApiTest {};
CROSSKEY_ON_EVERY_DATABASE(ApiErrors);

std::string Users(int64_t id) { return absl::StrCat("users/", id); }

void ExpectResource(const grpc::Status& status, const std::string& type, const std::string& name) {
  const auto info = DetailOf<google::rpc::ResourceInfo>(status);
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->resource_type(), type);
  EXPECT_EQ(info->resource_name(), name);
}

ErrorRow PeerUnavailable(const std::string& peer) {
  return {StatusCode::UNAVAILABLE, "PEER_UNAVAILABLE", {"RetryInfo"}, {{"peer", peer}}};
}

ErrorRow ForeignKeyViolation(int64_t user) {
  return {StatusCode::FAILED_PRECONDITION,
          "FOREIGN_KEY_VIOLATION",
          {"PreconditionFailure", "ResourceInfo"},
          {{"relationship", "post.v1.Post.user_id"}, {"resource", Users(user)}}};
}

TEST_P(ApiErrors, NotFound) {
  const std::string id = absl::StrCat(kNoSuchId);
  const ErrorRow user = {
      StatusCode::NOT_FOUND, "USER_NOT_FOUND", {"ResourceInfo"}, {{"resource", absl::StrCat("users/", id)}}};
  const ErrorRow post = {
      StatusCode::NOT_FOUND, "POST_NOT_FOUND", {"ResourceInfo"}, {{"resource", absl::StrCat("posts/", id)}}};
  for (const grpc::Status& status : {
           Send<user::v1::GetUserRequest>(pair(), "id: " + id).status,
           Send<UpdateUserRequest>(pair(), "user { username: 'x' id: " + id + "}").status,
           Send<UpdateUserRequest>(pair(), "user { etag: 'v1' id: " + id + "}").status,
           Send<DeleteUserRequest>(pair(), "id: " + id).status,
           Send<DeleteUserRequest>(pair(), "etag: 'v1' on_delete: REFERENTIAL_ACTION_RESTRICT id: " + id).status,
           Send<DeleteUserRequest>(pair(), "validate_only: true id: " + id).status,
       }) {
    ExpectError(status, user);
    ExpectResource(status, "user.v1.User", "users/" + id);
  }
  for (const grpc::Status& status : {
           Send<post::v1::GetPostRequest>(pair(), "id: " + id).status,
           Send<post::v1::GetPostRequest>(pair(), "include_user: true id: " + id).status,
           Send<UpdatePostRequest>(pair(), "post { title: 'x' id: " + id + "}").status,
           Send<post::v1::DeletePostRequest>(pair(), "id: " + id).status,
           Send<post::v1::DeletePostRequest>(pair(), "etag: 'v1' id: " + id).status,
       }) {
    ExpectError(status, post);
    ExpectResource(status, "post.v1.Post", "posts/" + id);
  }
}

TEST_P(ApiErrors, DeletionNotFound) {
  for (const int64_t id : {kNoSuchId, pair().CreateUser(NewName())}) {
    const grpc::Status status = Send<user::v1::GetUserDeletionRequest>(pair(), absl::StrCat("user_id: ", id)).status;
    ExpectError(status, {StatusCode::NOT_FOUND, "DELETION_NOT_FOUND", {"ResourceInfo"}, {{"resource", Users(id)}}});
    ExpectResource(status, "user.v1.UserDeletion", Users(id));
  }
}

TEST_P(ApiErrors, UsernameTaken) {
  const std::string name = NewName();
  pair().CreateUser(name);
  const int64_t other = pair().CreateUser(NewName());
  const std::string before = GetUser(pair(), other).ShortDebugString();
  for (const grpc::Status& status : {
           Send<user::v1::CreateUserRequest>(pair(), absl::StrCat("username: '", name, "'")).status,
           Send<UpdateUserRequest>(pair(), absl::StrCat("user { id: ", other, " username: '", name, "' }")).status,
       }) {
    ExpectError(
        status,
        {StatusCode::ALREADY_EXISTS, "USERNAME_TAKEN", {"ResourceInfo"}, {{"field", "username"}, {"value", name}}});
    ExpectResource(status, "user.v1.User", name);
  }
  EXPECT_EQ(GetUser(pair(), other).ShortDebugString(), before);
}

// The longest name is longer than what an error repeats of it. It is cut, but not within a character.
TEST_P(ApiErrors, ALongUsernameIsCutInTheError) {
  user::v1::CreateUserRequest request;
  request.set_username("abc" + Repeat("\U0001F600", 47));
  EXPECT_THAT(Send(pair(), request).status, GrpcOk());
  const grpc::Status status = Send(pair(), request).status;
  EXPECT_THAT(status, GrpcError(StatusCode::ALREADY_EXISTS, "USERNAME_TAKEN"));
  EXPECT_EQ(MetadataOf(status)["value"], "abc" + Repeat("\U0001F600", 29) + "...");
}

TEST_P(ApiErrors, ForeignKeyViolation) {
  const int64_t user = pair().CreateUser(NewName());
  const int64_t post = pair().CreatePost(user);
  const int64_t hidden = pair().CreateUser(NewName());
  pair().CreatePost(hidden);
  const int64_t completed = pair().CreateUser(NewName());
  pair().Delete(completed);
  pair().AwaitState(completed, user::v1::DELETION_STATE_COMPLETED);
  pair().hold_reclaim = true;
  pair().Delete(hidden);

  // A user that never was, one that is still being removed, and one of which nothing is left.
  for (const int64_t missing : {kNoSuchId, hidden, completed}) {
    SCOPED_TRACE(missing);
    const std::string create = absl::StrCat("title: 'x' user_id: ", missing);
    for (const grpc::Status& status : {
             Send<CreatePostRequest>(pair(), create).status,
             Send<post::v1::BatchCreatePostsRequest>(
                 pair(), absl::StrCat("requests { title: 'x' user_id: ", user, " } requests { ", create, " }"))
                 .status,
             Send<UpdatePostRequest>(pair(), absl::StrCat("post { id: ", post, " user_id: ", missing, " }")).status,
         }) {
      ExpectError(status, ForeignKeyViolation(missing));
      ExpectResource(status, "user.v1.User", Users(missing));
      const auto details = DetailOf<google::rpc::PreconditionFailure>(status);
      ASSERT_EQ(details->violations_size(), 1);
      EXPECT_EQ(details->violations(0).type(), "FOREIGN_KEY");
      EXPECT_EQ(details->violations(0).subject(), "post.v1.Post.user_id");
      EXPECT_TRUE(absl::StrContains(details->violations(0).description(), Users(missing)));
    }
  }
  EXPECT_THAT(pair().ListPostIds(user), ::testing::ElementsAre(post));
  pair().hold_reclaim = false;
}

TEST_P(ApiErrors, ForeignKeyViolationsOfABatchAreCounted) {
  post::v1::BatchCreatePostsRequest request;
  for (int i = 0; i < 1000; ++i) {
    request.add_requests()->set_title("x");
    request.mutable_requests(i)->set_user_id(kNoSuchId + i);
  }
  const grpc::Status status = Send(pair(), request).status;
  ErrorRow expected = ForeignKeyViolation(kNoSuchId);
  expected.metadata["more"] = "999";
  ExpectError(status, expected);
  EXPECT_EQ(DetailOf<google::rpc::PreconditionFailure>(status)->violations_size(), 10);
}

TEST_P(ApiErrors, Restricted) {
  struct Case {
    int posts;
    std::string count;
    std::string is_minimum;
  };
  for (const auto& [posts, count, is_minimum] :
       std::vector<Case>{{1, "1", "false"}, {1000, "1000", "false"}, {1001, "1000", "true"}}) {
    SCOPED_TRACE(posts);
    const int64_t user = pair().CreateUser(NewName());
    const std::string before = GetUser(pair(), user).ShortDebugString();
    pair().CreatePosts(user, posts);
    for (const char* validate_only : {"true", "false"}) {
      const grpc::Status status =
          Send<DeleteUserRequest>(
              pair(),
              absl::StrCat("on_delete: REFERENTIAL_ACTION_RESTRICT validate_only: ", validate_only, " id: ", user))
              .status;
      ExpectError(status, {StatusCode::FAILED_PRECONDITION,
                           "RESTRICTED",
                           {"PreconditionFailure"},
                           {{"resource", Users(user)},
                            {"relationship", "post.v1.Post.user_id"},
                            {"count", count},
                            {"count_is_minimum", is_minimum}}});
      const auto details = DetailOf<google::rpc::PreconditionFailure>(status);
      ASSERT_EQ(details->violations_size(), 1);
      EXPECT_EQ(details->violations(0).type(), "RESTRICT");
      EXPECT_EQ(details->violations(0).subject(), "post.v1.Post.user_id");
    }
    EXPECT_EQ(GetUser(pair(), user).ShortDebugString(), before);
    EXPECT_EQ(pair().ListPostIds(user).size(), static_cast<size_t>(posts));
  }
}

TEST_P(ApiErrors, EtagMismatch) {
  const int64_t user = pair().CreateUser(NewName());
  const int64_t post = pair().CreatePost(user);
  for (const grpc::Status& status : {
           Send<UpdateUserRequest>(pair(), absl::StrCat("user { etag: 'x' username: 'x' id: ", user, "}")).status,
           Send<UpdateUserRequest>(pair(), absl::StrCat("user { etag: 'x' id: ", user, "}")).status,
           Send<DeleteUserRequest>(pair(), absl::StrCat("etag: 'x' id: ", user)).status,
       }) {
    ExpectError(status, {StatusCode::ABORTED, "ETAG_MISMATCH", {}, {{"resource", Users(user)}}});
  }
  for (const grpc::Status& status : {
           Send<UpdatePostRequest>(pair(), absl::StrCat("post { etag: 'x' title: 'x' id: ", post, "}")).status,
           Send<UpdatePostRequest>(pair(), absl::StrCat("post { etag: 'x' id: ", post, "}")).status,
           Send<post::v1::DeletePostRequest>(pair(), absl::StrCat("etag: 'x' id: ", post)).status,
       }) {
    ExpectError(status, {StatusCode::ABORTED, "ETAG_MISMATCH", {}, {{"resource", absl::StrCat("posts/", post)}}});
  }
}

// A deletion with RESTRICT has begun, and nobody knows its outcome yet. The test makes the rows that a crash at that
// point leaves.
TEST_P(ApiErrors, ParentDeleting) {
  Pair pair(GetParam(), false);
  pair.hold_recovery = true;
  pair.hold_post_consumer = true;  // so that post-service has to ask
  pair.StartUsers();
  pair.StartPosts();
  const int64_t user = pair.CreateUser("deleting");
  const int64_t post = pair.CreatePost(pair.CreateUser("other"));
  pair.user_db().Run(
      absl::StrCat("INSERT INTO user_deletions (user_id, uid, action, state, blocked_reason, create_time) "
                   "SELECT id, uid, 1, 1, '', 1 FROM users WHERE id = ",
                   user));
  pair.user_db().Run(absl::StrCat("UPDATE users SET state = 2 WHERE id = ", user));
  EXPECT_EQ(GetUser(pair, user).state(), user::v1::USER_STATE_DELETING);
  EXPECT_EQ(pair.GetDeletion(user).state(), user::v1::DELETION_STATE_INTENT);

  const ErrorRow deleting = {StatusCode::ABORTED, "PARENT_DELETING", {"RetryInfo"}, {{"resource", Users(user)}}};
  const std::string id = absl::StrCat("id: ", user);
  ExpectError(Send<UpdateUserRequest>(pair, "user { username: 'x' " + id + " }").status, deleting);
  ExpectError(Send<UpdateUserRequest>(pair, "user { " + id + " }").status, deleting);
  ExpectError(Send<DeleteUserRequest>(pair, id).status, deleting);
  ExpectError(Send<DeleteUserRequest>(pair, "on_delete: REFERENTIAL_ACTION_CASCADE " + id).status, deleting);
  ExpectError(Send<DeleteUserRequest>(pair, "validate_only: true " + id).status, deleting);
  ExpectError(pair.TryCreatePost(user), deleting);
  ExpectError(
      Send<post::v1::BatchCreatePostsRequest>(pair, absl::StrCat("requests { title: 'x' user_id: ", user, " }")).status,
      deleting);
  ExpectError(Send<UpdatePostRequest>(pair, absl::StrCat("post { id: ", post, " user_id: ", user, " }")).status,
              deleting);
  EXPECT_THAT(pair.ListPostIds(user), IsEmpty());

  // A deletion with the same action joins this one and gets the same record.
  const std::string restrict = "on_delete: REFERENTIAL_ACTION_RESTRICT " + id;
  const auto preview = Send<DeleteUserRequest>(pair, "validate_only: true " + restrict);
  EXPECT_EQ(preview->deletion().state(), user::v1::DELETION_STATE_INTENT);
  const auto joined = Send<DeleteUserRequest>(pair, restrict);
  ASSERT_THAT(joined.status, GrpcOk());
  EXPECT_EQ(joined->deletion().deletion_id(), preview->deletion().deletion_id());
  EXPECT_EQ(joined->deletion().state(), user::v1::DELETION_STATE_RECLAIMING);
}

TEST_P(ApiErrors, PeerUnavailable) {
  Pair pair(GetParam());
  const int64_t user = pair.CreateUser("known");
  const int64_t post = pair.CreatePost(user);
  pair.StopUsers();
  const ErrorRow no_users = PeerUnavailable("user-service");
  ExpectError(Send<post::v1::GetPostRequest>(pair, absl::StrCat("include_user: true id: ", post)).status, no_users);
  ExpectError(Send<post::v1::BatchGetPostsRequest>(pair, absl::StrCat("include_users: true ids: ", post)).status,
              no_users);
  ExpectError(Send<post::v1::ListPostsRequest>(pair, "include_users: true").status, no_users);
  ExpectError(pair.TryCreatePost(kNoSuchId), no_users);
  ExpectError(Send<UpdatePostRequest>(pair, absl::StrCat("post { id: ", post, " user_id: ", kNoSuchId, " }")).status,
              no_users);
  // What needs no peer goes on, and what failed has left nothing.
  EXPECT_THAT(pair.TryGetPost(post), GrpcOk());
  EXPECT_EQ(pair.ListPostIds(0), std::vector<int64_t>{post});
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM posts"), 1);
  EXPECT_THAT(pair.TryCreatePost(user), GrpcOk());
  EXPECT_THAT(Send<post::v1::ListPostsRequest>(pair, absl::StrCat("include_users: true user_id: ", kNoSuchId)).status,
              GrpcOk());
  pair.StartUsers();
  pair.StopPosts();
  const ErrorRow no_posts = PeerUnavailable("post-service");
  const std::string restrict = absl::StrCat("on_delete: REFERENTIAL_ACTION_RESTRICT id: ", user);
  ExpectError(Send<DeleteUserRequest>(pair, restrict).status, no_posts);
  ExpectError(Send<DeleteUserRequest>(pair, restrict + " validate_only: true").status, no_posts);
  ExpectError(Send<DeleteUserRequest>(pair, absl::StrCat("validate_only: true id: ", user)).status, no_posts);
  EXPECT_EQ(GetUser(pair, user).state(), user::v1::USER_STATE_ACTIVE);
  EXPECT_EQ(pair.user_db().Number("SELECT COUNT(*) FROM user_deletions"), 0);
}

// No text of the database reaches the client, neither directly nor through the other service.
TEST_P(ApiErrors, InternalError) {
  const int64_t user = pair().CreateUser(NewName());
  pair().user_db().Run("ALTER TABLE users RENAME TO users_away");
  ::testing::internal::CaptureStderr();
  const grpc::Status status = pair().TryGetUser(user);
  const grpc::Status through_peer = pair().TryCreatePost(kNoSuchId);
  const std::string log = ::testing::internal::GetCapturedStderr();
  pair().user_db().Run("ALTER TABLE users_away RENAME TO users");

  const std::string incident = MetadataOf(status)["incident"];
  EXPECT_THAT(incident, ::testing::MatchesRegex("[0-9a-f]{16}"));
  ExpectError(status, {StatusCode::INTERNAL, "INTERNAL_ERROR", {"RequestInfo"}, {{"incident", incident}}});
  EXPECT_EQ(DetailOf<google::rpc::RequestInfo>(status)->request_id(), incident);
  EXPECT_EQ(status.error_message(), "unexpected error, logged as " + incident);
  EXPECT_TRUE(absl::StrContains(log, incident)) << log;
  EXPECT_TRUE(absl::StrContains(log, "users.get")) << log;
  ExpectError(through_peer, PeerUnavailable("user-service"));
  EXPECT_EQ(through_peer.error_message(), "user-service does not answer");
  EXPECT_THAT(pair().TryGetUser(user), GrpcOk());
}

TEST_P(ApiErrors, DatabaseUnavailable) {
  process::Options options;
  options.db =
      db::ParseUrl(GetParam() == "sqlite" ? "sqlite:/no/such/folder/user.db" : "mysql://crosskey@127.0.0.1:1/none")
          .value();
  options.db_pool = 1;
  options.max_in_flight = 10;
  options.listen = Loopback(FreePort());
  options.internal_listen = Loopback(FreePort());
  options.peer = Loopback(FreePort());
  ::testing::internal::CaptureStderr();  // the service complains, rightly
  {
    auto app = users::App::Start(options);
    ASSERT_THAT(app, IsOk());
    const auto stub = UserService::NewStub(grpc::CreateChannel(options.listen, grpc::InsecureChannelCredentials()));
    const auto request = FromText<user::v1::GetUserRequest>("id: 1");
    ExpectError(Ask(*stub, &UserService::Stub::GetUser, request).status,
                {StatusCode::UNAVAILABLE, "DATABASE_UNAVAILABLE", {"RetryInfo"}, {}});
  }
  ::testing::internal::GetCapturedStderr();
}

TEST_P(ApiErrors, Overloaded) {
  Pair pair(GetParam(), false);
  pair.max_in_flight = 1;
  pair.StartUsers();
  const int64_t user = pair.CreateUser("ada");
  HeldRow held(pair.user_db(), "users", user);
  grpc::Status blocked;
  std::thread caller([&] {
    do {  // the call below may have the only place
      blocked = Send<UpdateUserRequest>(pair, absl::StrCat("user { username: 'grace' id: ", user, " }")).status;
    } while (ReasonOf(blocked) == "OVERLOADED");
  });
  grpc::Status refused;
  EXPECT_TRUE(WaitFor([&] {
    refused = pair.TryGetUser(user);
    return !refused.ok();
  }));
  ExpectError(refused, {StatusCode::RESOURCE_EXHAUSTED, "OVERLOADED", {"RetryInfo"}, {{"what", "calls"}}});
  held.Release();
  caller.join();
  EXPECT_THAT(blocked, GrpcOk());
  EXPECT_EQ(GetUser(pair, user).username(), "grace");
}

std::unique_ptr<grpc::ClientContext> ContextUntil(std::chrono::system_clock::time_point deadline) {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(deadline);
  return context;
}

TEST_P(ApiErrors, ACallWhoseDeadlineHasPassedHasNoEffect) {
  const int64_t user = pair().CreateUser(NewName());
  const int64_t post = pair().CreatePost(user);
  const std::string before = GetUser(pair(), user).ShortDebugString() + GetPost(pair(), post).ShortDebugString();
  const auto past = std::chrono::system_clock::now() - std::chrono::seconds(1);
  const auto create_user = FromText<user::v1::CreateUserRequest>("username: 'too late'");
  const auto update_user = FromText<UpdateUserRequest>(absl::StrCat("user { username: 'x' id: ", user, " }"));
  const auto delete_user = FromText<DeleteUserRequest>(absl::StrCat("id: ", user));
  const auto create_post = FromText<CreatePostRequest>(absl::StrCat("title: 'x' user_id: ", user));
  const auto delete_post = FromText<post::v1::DeletePostRequest>(absl::StrCat("id: ", post));
  user::v1::CreateUserResponse created;
  user::v1::UpdateUserResponse updated;
  user::v1::DeleteUserResponse deleted;
  post::v1::CreatePostResponse posted;
  post::v1::DeletePostResponse removed;
  for (const grpc::Status& status : {
           pair().users().CreateUser(ContextUntil(past).get(), create_user, &created),
           pair().users().UpdateUser(ContextUntil(past).get(), update_user, &updated),
           pair().users().DeleteUser(ContextUntil(past).get(), delete_user, &deleted),
           pair().posts().CreatePost(ContextUntil(past).get(), create_post, &posted),
           pair().posts().DeletePost(ContextUntil(past).get(), delete_post, &removed),
       }) {
    EXPECT_EQ(status.error_code(), StatusCode::DEADLINE_EXCEEDED);
    EXPECT_EQ(status.error_details(), "");
  }
  EXPECT_EQ(GetUser(pair(), user).ShortDebugString() + GetPost(pair(), post).ShortDebugString(), before);
  EXPECT_EQ(pair().ListPostIds(user), std::vector<int64_t>{post});
  EXPECT_THAT(Send<user::v1::CreateUserRequest>(pair(), "username: 'too late'").status, GrpcOk());
}

double CallsInFlight(server::Service& service) {
  double calls = 0;
  for (const auto& family : service.metrics().registry().Collect()) {
    if (family.name != "crosskey_calls_in_flight") continue;
    for (const auto& metric : family.metric) calls += metric.gauge.value;
  }
  return calls;
}

// A call waits for a lock until its deadline has passed. It must not do its work when the lock comes.
TEST_P(ApiErrors, ACallThatExpiresWhileItWaitsHasNoEffect) {
  Pair pair(GetParam(), false);
  pair.StartUsers();
  const int64_t user = pair.CreateUser("ada");
  const std::string before = GetUser(pair, user).ShortDebugString();
  HeldRow held(pair.user_db(), "users", user);
  const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(1);
  user::v1::UpdateUserResponse response;
  const auto request = FromText<UpdateUserRequest>(absl::StrCat("user { username: 'grace' id: ", user, " }"));
  const grpc::Status status = pair.users().UpdateUser(ContextUntil(deadline).get(), request, &response);
  // On SQLite the call waits for its turn to write, and may hear in time that it did not get one.
  EXPECT_TRUE(status.error_code() == StatusCode::DEADLINE_EXCEEDED || ReasonOf(status) == "OVERLOADED")
      << status.error_code();
  // The server counts the same time, but from the moment at which it got the call, so it may be a little later.
  EXPECT_TRUE(WaitFor([&] { return std::chrono::system_clock::now() > deadline + std::chrono::milliseconds(500); }));
  held.Release();
  EXPECT_TRUE(WaitFor([&] { return CallsInFlight(pair.user_app().service()) == 0; }));
  EXPECT_EQ(GetUser(pair, user).ShortDebugString(), before);
}

}  // namespace
}  // namespace crosskey::testing
