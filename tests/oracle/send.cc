// Sends operations to the services, as calls.
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tests/oracle/operations.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {
namespace {

using PostStub = post::v1::PostService::Stub;
using UserStub = user::v1::UserService::Stub;

template <typename Stub, typename Request, typename Response>
Outcome Ask(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
            const Request& request, Response* response) {
  const grpc::Status status = Invoke(stub, method, request, response);
  Outcome outcome;
  outcome.status = StatusText(status);
  if (status.ok()) outcome.bytes = response->SerializeAsString();
  return outcome;
}

Outcome CreateUser(Pair& pair, const Operation& operation) {
  user::v1::CreateUserRequest request;
  request.set_username(*operation.name);
  request.set_request_id(operation.request_id);
  user::v1::CreateUserResponse response;
  Outcome outcome = Ask(pair.users(), &UserStub::CreateUser, request, &response);
  if (outcome.ok()) outcome.users.push_back(response.user());
  return outcome;
}

Outcome UpdateUser(Pair& pair, const Operation& operation) {
  user::v1::UpdateUserRequest request;
  request.set_request_id(operation.request_id);
  request.mutable_user()->set_id(operation.user);
  if (operation.name.has_value()) {
    request.mutable_user()->set_username(*operation.name);
    request.mutable_update_mask()->add_paths("username");
  }
  if (operation.sets_pin) request.mutable_update_mask()->add_paths("pinned_post_id");
  if (operation.pin.has_value()) request.mutable_user()->set_pinned_post_id(*operation.pin);
  user::v1::UpdateUserResponse response;
  Outcome outcome = Ask(pair.users(), &UserStub::UpdateUser, request, &response);
  if (outcome.ok()) outcome.users.push_back(response.user());
  return outcome;
}

Outcome DeleteUser(Pair& pair, const Operation& operation) {
  user::v1::DeleteUserRequest request;
  request.set_id(operation.user);
  request.set_on_delete(operation.action);
  request.set_allow_missing(operation.allow_missing);
  request.set_validate_only(operation.validate_only);
  request.set_request_id(operation.request_id);
  user::v1::DeleteUserResponse response;
  Outcome outcome = Ask(pair.users(), &UserStub::DeleteUser, request, &response);
  if (outcome.ok() && response.has_deletion()) outcome.deletion = response.deletion();
  return outcome;
}

void Fill(const Operation& operation, int64_t author, post::v1::CreatePostRequest* request) {
  request->set_user_id(author);
  request->set_title(*operation.name);
  request->set_content(*operation.content);
}

Outcome CreatePosts(Pair& pair, const Operation& operation) {
  if (operation.authors.size() == 1) {
    post::v1::CreatePostRequest request;
    Fill(operation, operation.authors.front(), &request);
    request.set_request_id(operation.request_id);
    post::v1::CreatePostResponse response;
    Outcome outcome = Ask(pair.posts(), &PostStub::CreatePost, request, &response);
    if (outcome.ok()) outcome.posts.push_back(response.post());
    return outcome;
  }
  post::v1::BatchCreatePostsRequest request;
  for (const int64_t author : operation.authors) Fill(operation, author, request.add_requests());
  request.set_request_id(operation.request_id);
  post::v1::BatchCreatePostsResponse response;
  Outcome outcome = Ask(pair.posts(), &PostStub::BatchCreatePosts, request, &response);
  outcome.posts.assign(response.posts().begin(), response.posts().end());
  return outcome;
}

Outcome UpdatePost(Pair& pair, const Operation& operation) {
  post::v1::UpdatePostRequest request;
  request.set_request_id(operation.request_id);
  request.mutable_post()->set_id(operation.post);
  if (operation.author.has_value()) {
    request.mutable_post()->set_user_id(*operation.author);
    request.mutable_update_mask()->add_paths("user_id");
  }
  if (operation.name.has_value()) {
    request.mutable_post()->set_title(*operation.name);
    request.mutable_update_mask()->add_paths("title");
  }
  if (operation.content.has_value()) {
    request.mutable_post()->set_content(*operation.content);
    request.mutable_update_mask()->add_paths("content");
  }
  post::v1::UpdatePostResponse response;
  Outcome outcome = Ask(pair.posts(), &PostStub::UpdatePost, request, &response);
  if (outcome.ok()) outcome.posts.push_back(response.post());
  return outcome;
}

Outcome DeletePost(Pair& pair, const Operation& operation) {
  post::v1::DeletePostRequest request;
  request.set_id(operation.post);
  request.set_allow_missing(operation.allow_missing);
  request.set_request_id(operation.request_id);
  post::v1::DeletePostResponse response;
  return Ask(pair.posts(), &PostStub::DeletePost, request, &response);
}

template <typename Request, typename Response>
Outcome OfLike(Pair& pair, const Operation& operation,
               grpc::Status (PostStub::*method)(grpc::ClientContext*, const Request&, Response*)) {
  Request request;
  request.set_post_id(operation.post);
  request.set_user_id(operation.user);
  request.set_request_id(operation.request_id);
  Response response;
  return Ask(pair.posts(), method, request, &response);
}

}  // namespace

std::string StatusText(const grpc::Status& status) {
  if (status.ok()) return "OK";
  return absl::StrCat(absl::StatusCodeToString(static_cast<absl::StatusCode>(status.error_code())), " ",
                      ReasonOf(status));
}

Outcome Send(Pair& pair, const Operation& operation) {
  switch (operation.kind) {
    case Kind::kCreateUser:
      return CreateUser(pair, operation);
    case Kind::kUpdateUser:
      return UpdateUser(pair, operation);
    case Kind::kDeleteUser:
      return DeleteUser(pair, operation);
    case Kind::kCreatePosts:
      return CreatePosts(pair, operation);
    case Kind::kUpdatePost:
      return UpdatePost(pair, operation);
    case Kind::kDeletePost:
      return DeletePost(pair, operation);
    case Kind::kLike:
      return OfLike(pair, operation, &PostStub::LikePost);
    case Kind::kUnlike:
      return OfLike(pair, operation, &PostStub::UnlikePost);
  }
  return {};
}

}  // namespace crosskey::testing
