#include "tests/fault/calls.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/pair.h"
#include "tests/support/secrets.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

struct Documented {
  grpc::StatusCode code;
  bool retry_info;
};

// The errors of proto/README.md that a call can meet without a mistake of its own.
const std::map<std::string, Documented>& Table() {
  static const auto* const table = new std::map<std::string, Documented>{
      {"USER_NOT_FOUND", {grpc::StatusCode::NOT_FOUND, false}},
      {"POST_NOT_FOUND", {grpc::StatusCode::NOT_FOUND, false}},
      {"DELETION_NOT_FOUND", {grpc::StatusCode::NOT_FOUND, false}},
      {"USERNAME_TAKEN", {grpc::StatusCode::ALREADY_EXISTS, false}},
      {"FOREIGN_KEY_VIOLATION", {grpc::StatusCode::FAILED_PRECONDITION, false}},
      {"RESTRICTED", {grpc::StatusCode::FAILED_PRECONDITION, false}},
      {"PARENT_DELETING", {grpc::StatusCode::ABORTED, true}},
      {"CONFLICT", {grpc::StatusCode::ABORTED, true}},
      {"PEER_UNAVAILABLE", {grpc::StatusCode::UNAVAILABLE, true}},
      {"DATABASE_UNAVAILABLE", {grpc::StatusCode::UNAVAILABLE, true}},
      {"DATABASE_NOT_WRITABLE", {grpc::StatusCode::UNAVAILABLE, true}},
      {"OVERLOADED", {grpc::StatusCode::RESOURCE_EXHAUSTED, true}},
      {"DRAINING", {grpc::StatusCode::UNAVAILABLE, true}},
      {"INTERNAL_ERROR", {grpc::StatusCode::INTERNAL, false}},
  };
  return *table;
}

std::string NameOfGrpcsOwn(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::CANCELLED:
      return "CANCELLED";
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return "DEADLINE_EXCEEDED";
    case grpc::StatusCode::UNAVAILABLE:
      return "UNAVAILABLE";
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return "RESOURCE_EXHAUSTED";
    default:
      return "";
  }
}

}  // namespace

std::unique_ptr<grpc::ClientContext> ContextFor(absl::Duration limit) {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(absl::ToChronoTime(absl::Now() + limit));
  context->set_wait_for_ready(true);
  return context;
}

grpc::Status TryCreateUser(UserStub& users, const std::string& name, int64_t* id, absl::Duration limit) {
  user::v1::CreateUserRequest request;
  request.set_username(absl::StrCat(kPrivate, " ", name));
  user::v1::CreateUserResponse response;
  const grpc::Status status = users.CreateUser(ContextFor(limit).get(), request, &response);
  *id = response.user().id();
  return status;
}

grpc::Status TryGetUser(UserStub& users, int64_t id, absl::Duration limit) {
  user::v1::GetUserRequest request;
  request.set_id(id);
  user::v1::GetUserResponse response;
  return users.GetUser(ContextFor(limit).get(), request, &response);
}

grpc::Status TryDelete(UserStub& users, int64_t id, ::relation::v1::ReferentialAction action,
                       user::v1::UserDeletion* deletion, absl::Duration limit) {
  user::v1::DeleteUserRequest request;
  request.set_id(id);
  request.set_on_delete(action);
  user::v1::DeleteUserResponse response;
  const grpc::Status status = users.DeleteUser(ContextFor(limit).get(), request, &response);
  if (deletion != nullptr) *deletion = response.deletion();
  return status;
}

grpc::Status TryCreatePost(PostStub& posts, int64_t user, int64_t* id, absl::Duration limit) {
  post::v1::CreatePostRequest request;
  request.set_user_id(user);
  request.set_title(kPrivate);
  post::v1::CreatePostResponse response;
  const grpc::Status status = posts.CreatePost(ContextFor(limit).get(), request, &response);
  if (id != nullptr) *id = response.post().id();
  return status;
}

grpc::Status TryGetPost(PostStub& posts, int64_t id, absl::Duration limit) {
  post::v1::GetPostRequest request;
  request.set_id(id);
  post::v1::GetPostResponse response;
  return posts.GetPost(ContextFor(limit).get(), request, &response);
}

grpc::Status TryMovePost(PostStub& posts, int64_t id, int64_t user) {
  post::v1::UpdatePostRequest request;
  request.mutable_post()->set_id(id);
  request.mutable_post()->set_user_id(user);
  post::v1::UpdatePostResponse response;
  return posts.UpdatePost(ContextFor(kCallLimit).get(), request, &response);
}

int64_t CreateUser(UserStub& users, const std::string& name) {
  int64_t id = 0;
  EXPECT_THAT(TryCreateUser(users, name, &id), GrpcOk());
  return id;
}

std::vector<int64_t> CreatePosts(PostStub& posts, int64_t user, int count) {
  post::v1::BatchCreatePostsRequest request;
  for (int i = 0; i < count; ++i) {
    auto* post = request.add_requests();
    post->set_user_id(user);
    post->set_title(kPrivate);
  }
  post::v1::BatchCreatePostsResponse response;
  EXPECT_THAT(posts.BatchCreatePosts(ContextFor(kCallLimit).get(), request, &response), GrpcOk());
  std::vector<int64_t> ids;
  for (const auto& post : response.posts()) ids.push_back(post.id());
  return ids;
}

void AwaitDeletion(UserStub& users, int64_t user, user::v1::DeletionState state) {
  user::v1::GetUserDeletionRequest request;
  request.set_user_id(user);
  user::v1::GetUserDeletionResponse response;
  EXPECT_TRUE(WaitFor([&] {
    return users.GetUserDeletion(ContextFor(kCallLimit).get(), request, &response).ok() &&
           response.deletion().state() == state;
  })) << response.ShortDebugString();
}

std::string OutcomeOf(const grpc::Status& status) {
  if (status.ok()) return "OK";
  const std::string reason = ReasonOf(status);
  const std::string own = NameOfGrpcsOwn(status.error_code());
  if (reason.empty() && status.error_details().empty() && !own.empty()) return own;
  const auto row = Table().find(reason);
  const bool as_documented = row != Table().end() && ::testing::Value(status, GrpcError(row->second.code, reason)) &&
                             DetailOf<google::rpc::RetryInfo>(status).has_value() == row->second.retry_info;
  if (as_documented) return reason;
  return absl::StrCat("undocumented: ", status.error_code(), " ", reason, " ", status.error_message());
}

std::string Outcomes::Add(const grpc::Status& status) {
  std::string outcome = OutcomeOf(status);
  std::lock_guard lock(mutex_);
  ++counts_[outcome];
  return outcome;
}

int64_t Outcomes::Count(const std::string& outcome) const {
  std::lock_guard lock(mutex_);
  const auto found = counts_.find(outcome);
  return found == counts_.end() ? 0 : found->second;
}

std::string Outcomes::Except(const std::set<std::string>& expected) const {
  std::lock_guard lock(mutex_);
  std::string others;
  for (const auto& [outcome, count] : counts_) {
    if (expected.count(outcome) == 0) absl::StrAppend(&others, others.empty() ? "" : ", ", outcome, " ", count);
  }
  return others;
}

std::string Outcomes::ToString() const { return Except({}); }

}  // namespace crosskey::testing
