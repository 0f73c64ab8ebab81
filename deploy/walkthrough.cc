// A tour through both services with real calls, for deploy/quickstart: crosskey-walkthrough USER_ADDRESS POST_ADDRESS
//
// Shows each call and its answer, and ends with exit code 1 at the first one that is not as it should be. The services
// must not have the users "ada" and "grace" yet.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>
#include <nlohmann/json.hpp>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "post/v1/post_service.grpc.pb.h"
#include "user/v1/user_service.grpc.pb.h"

namespace {

using google::protobuf::Message;
using post::v1::PostService;
using std::chrono::steady_clock;
using user::v1::UserService;

// How long the two services get to find each other, and a deletion to complete.
constexpr std::chrono::seconds kPatience{20};
constexpr std::chrono::milliseconds kPollInterval{100};
constexpr size_t kLineWidth = 120;

void Step(const std::string& sentence) {
  static int number = 0;
  std::cout << "\n" << ++number << ". " << sentence << "\n";
}

std::string Json(const Message& message) {
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(message, &json).ok()) json = "{}";
  return json;
}

// Prints a value in one line where that is short enough, or else its parts in this way; plain fields share lines.
void PrintJson(const nlohmann::ordered_json& value, const std::string& indent, const std::string& key,
               const std::string& end) {
  const std::string line = key + value.dump() + end;
  if (value.is_primitive() || indent.size() + line.size() <= kLineWidth) {
    std::cout << indent << line << "\n";
    return;
  }
  std::cout << indent << key << (value.is_object() ? "{" : "[") << "\n";
  std::string fields;
  const auto print_fields = [&] {
    if (!fields.empty()) std::cout << indent << " " << fields << "\n";
    fields.clear();
  };
  size_t left = value.size();
  for (const auto& [name, part] : value.items()) {
    const std::string part_key = value.is_object() ? nlohmann::ordered_json(name).dump() + ":" : "";
    const std::string part_end = --left > 0 ? "," : "";
    if (!part.is_primitive()) {
      print_fields();
      PrintJson(part, indent + "  ", part_key, part_end);
      continue;
    }
    const std::string field = " " + part_key + part.dump() + part_end;
    if (indent.size() + fields.size() + field.size() > kLineWidth) print_fields();
    fields += field;
  }
  print_fields();
  std::cout << indent << (value.is_object() ? "}" : "]") << end << "\n";
}

void PrintAnswer(const grpc::Status& status, const Message& response) {
  if (status.ok()) {
    PrintJson(nlohmann::ordered_json::parse(Json(response)), "     ", "", "");
    return;
  }
  google::rpc::Status error;
  error.ParseFromString(status.error_details());
  // gRPC's own errors have no details.
  error.set_code(status.error_code());
  error.set_message(status.error_message());
  PrintJson(nlohmann::ordered_json::parse(Json(error)), "     ", "", "");
}

void Expect(bool condition, const std::string& expectation) {
  if (condition) return;
  std::cout << std::flush;
  std::cerr << "\nNot as expected: " << expectation << "\n";
  std::exit(1);
}

// The detail of type T in an error, or an empty one.
template <typename T>
T Detail(const grpc::Status& status) {
  google::rpc::Status error;
  error.ParseFromString(status.error_details());
  T detail;
  for (const auto& any : error.details()) {
    if (any.UnpackTo(&detail)) break;
  }
  return detail;
}

// One service, and the calls that are made of it.
template <typename Service>
class Client {
 public:
  explicit Client(const std::string& address) {
    grpc::ChannelArguments arguments;
    // The services are near: a proxy in the environment is not meant for them.
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    stub_ = Service::NewStub(grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  }

  // Makes a call and shows it. One that finds a service away, as while both start, is repeated for a while.
  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (Service::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const std::string& name, const Request& request, Response* response) {
    std::cout << "   > " << Service::service_full_name() << "/" << name << " " << Json(request) << "\n";
    const auto deadline = steady_clock::now() + kPatience;
    grpc::Status status = Send(method, request, response);
    while (status.error_code() == grpc::StatusCode::UNAVAILABLE && steady_clock::now() < deadline) {
      std::this_thread::sleep_for(kPollInterval);
      status = Send(method, request, response);
    }
    PrintAnswer(status, *response);
    return status;
  }

  // The same for a call that must succeed.
  template <typename Request, typename Response>
  Response Get(grpc::Status (Service::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
               const std::string& name, const Request& request) {
    Response response;
    Expect(Call(method, name, request, &response).ok(), name + " succeeds");
    return response;
  }

  // The same for a call that must be refused.
  template <typename Request, typename Response>
  grpc::Status GetError(grpc::Status (Service::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                        const std::string& name, const Request& request, const std::string& reason) {
    Response response;
    const grpc::Status status = Call(method, name, request, &response);
    Expect(!status.ok() && Detail<google::rpc::ErrorInfo>(status).reason() == reason, name + " answers " + reason);
    return status;
  }

  template <typename Request, typename Response>
  grpc::Status Send(grpc::Status (Service::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    response->Clear();
    return (stub_.get()->*method)(&context, request, response);
  }

 private:
  std::unique_ptr<typename Service::Stub> stub_;
};

// The tour. Each part is a chapter of it and leaves the rows that the next ones use.
class Walkthrough {
 public:
  Walkthrough(const std::string& user_address, const std::string& post_address)
      : users_(user_address), posts_(post_address) {}

  void Run() {
    CreateRows();
    QueryBothWays();
    LikeAndPin();
    RefuseDanglingReference();
    PreviewAndRestrict();
    Cascade();
    ShowGraceWithoutThePost();
    std::cout << "\nAll answers were as expected.\n";
  }

 private:
  int64_t CreateUser(const std::string& username) {
    user::v1::CreateUserRequest request;
    request.set_username(username);
    return users_.Get(&UserService::Stub::CreateUser, "CreateUser", request).user().id();
  }

  void CreateRows() {
    Step("Create two users in user-service.");
    ada_ = CreateUser("ada");
    grace_ = CreateUser("grace");

    Step("Create a post in post-service: its user_id is a foreign key to the other service.");
    post::v1::CreatePostRequest request;
    request.set_title("Hello");
    request.set_content("A post that refers to a user of another service.");
    request.set_user_id(ada_);
    adas_post_ = posts_.Get(&PostService::Stub::CreatePost, "CreatePost", request).post().id();

    Step("Create two more at once, one of each user: all or nothing.");
    post::v1::BatchCreatePostsRequest batch;
    for (const auto& [title, user_id] : {std::pair("On engines", ada_), std::pair("A compiler", grace_)}) {
      auto* one = batch.add_requests();
      one->set_title(title);
      one->set_user_id(user_id);
    }
    const auto created = posts_.Get(&PostService::Stub::BatchCreatePosts, "BatchCreatePosts", batch);
    Expect(created.posts_size() == 2, "two posts are created");
  }

  post::v1::ListPostsResponse ListPosts(int64_t user_id, bool include_users) {
    post::v1::ListPostsRequest request;
    request.set_user_id(user_id);
    request.set_include_users(include_users);
    return posts_.Get(&PostService::Stub::ListPosts, "ListPosts", request);
  }

  void QueryBothWays() {
    Step("user.posts: all posts of ada.");
    Expect(ListPosts(ada_, false).posts_size() == 2, "ada has 2 posts");

    Step("post.user: one post together with its user.");
    post::v1::GetPostRequest request;
    request.set_id(adas_post_);
    request.set_include_user(true);
    const auto got = posts_.Get(&PostService::Stub::GetPost, "GetPost", request);
    Expect(got.user().username() == "ada", "the post's user is ada");

    Step("The same for a whole page: however many posts, their users come with one further call.");
    const auto page = ListPosts(0, true);
    Expect(page.posts_size() == 3 && page.users_size() == 2, "there are 3 posts of 2 users");
  }

  void LikeAndPin() {
    Step("grace likes a post of ada (many-to-many) and pins it (one-to-one, with the column in user-service).");
    post::v1::LikePostRequest like;
    like.set_post_id(adas_post_);
    like.set_user_id(grace_);
    posts_.Get(&PostService::Stub::LikePost, "LikePost", like);
    post::v1::ListPostLikesRequest likes;
    likes.set_post_id(adas_post_);
    Expect(posts_.Get(&PostService::Stub::ListPostLikes, "ListPostLikes", likes).likes_size() == 1,
           "one user likes it");
    user::v1::UpdateUserRequest pin;
    pin.mutable_user()->set_id(grace_);
    pin.mutable_user()->set_pinned_post_id(adas_post_);
    const auto pinned = users_.Get(&UserService::Stub::UpdateUser, "UpdateUser", pin).user();
    Expect(pinned.pinned_post_id() == adas_post_, "grace has pinned the post");
  }

  void RefuseDanglingReference() {
    Step("A post of a user that does not exist is refused, and the error says why to people and to programs.");
    post::v1::CreatePostRequest request;
    request.set_title("By nobody");
    request.set_user_id(kNobody);
    const auto status = posts_.GetError(&PostService::Stub::CreatePost, "CreatePost", request, "FOREIGN_KEY_VIOLATION");
    Expect(status.error_code() == grpc::StatusCode::FAILED_PRECONDITION, "the code is FAILED_PRECONDITION");
    Expect(Detail<google::rpc::PreconditionFailure>(status).violations_size() > 0, "PreconditionFailure is there");
    Expect(!Detail<google::rpc::ResourceInfo>(status).resource_type().empty(), "ResourceInfo is there");
  }

  user::v1::DeleteUserRequest DeleteAda() const {
    user::v1::DeleteUserRequest request;
    request.set_id(ada_);
    return request;
  }

  void PreviewAndRestrict() {
    Step("Preview the deletion of ada: as Post.user_id declares CASCADE, her 2 posts would go too.");
    auto request = DeleteAda();
    request.set_validate_only(true);
    const auto preview = users_.Get(&UserService::Stub::DeleteUser, "DeleteUser", request).deletion();
    Expect(preview.posts() == 2 && preview.on_delete() == relation::v1::REFERENTIAL_ACTION_CASCADE, "2 posts would go");

    Step("Ask for RESTRICT instead: refused, because ada has posts.");
    request = DeleteAda();
    request.set_on_delete(relation::v1::REFERENTIAL_ACTION_RESTRICT);
    const auto status = users_.GetError(&UserService::Stub::DeleteUser, "DeleteUser", request, "RESTRICTED");
    const auto info = Detail<google::rpc::ErrorInfo>(status);
    const auto count = info.metadata().find("count");
    Expect(count != info.metadata().end() && count->second == "2", "the error counts 2 posts");

    Step("Neither has changed anything: ada can still be used.");
    user::v1::GetUserRequest get;
    get.set_id(ada_);
    const auto user = users_.Get(&UserService::Stub::GetUser, "GetUser", get).user();
    Expect(user.state() == user::v1::USER_STATE_ACTIVE, "ada is ACTIVE");
  }

  void Cascade() {
    Step("Delete ada, with all her posts. The answer does not wait for their removal, however many there are ...");
    const auto deletion = users_.Get(&UserService::Stub::DeleteUser, "DeleteUser", DeleteAda()).deletion();
    Expect(deletion.state() == user::v1::DELETION_STATE_RECLAIMING ||
               deletion.state() == user::v1::DELETION_STATE_COMPLETED,
           "the deletion is RECLAIMING or COMPLETED");

    Step("... but from then on nobody sees any of them, or can write a new one.");
    Expect(ListPosts(ada_, false).posts_size() == 0, "ada has no posts");
    post::v1::GetPostRequest get;
    get.set_id(adas_post_);
    posts_.GetError(&PostService::Stub::GetPost, "GetPost", get, "POST_NOT_FOUND");
    post::v1::CreatePostRequest create;
    create.set_title("Too late");
    create.set_user_id(ada_);
    posts_.GetError(&PostService::Stub::CreatePost, "CreatePost", create, "FOREIGN_KEY_VIOLATION");

    Step("grace and her post are untouched.");
    Expect(ListPosts(grace_, true).posts_size() == 1, "grace has 1 post");

    Step("In the background the rows are removed; an event tells user-service, and the deletion is COMPLETED.");
    user::v1::GetUserDeletionRequest request;
    request.set_user_id(ada_);
    user::v1::GetUserDeletionResponse response;
    const auto deadline = steady_clock::now() + kPatience;
    while (users_.Send(&UserService::Stub::GetUserDeletion, request, &response).ok() &&
           response.deletion().state() != user::v1::DELETION_STATE_COMPLETED && steady_clock::now() < deadline) {
      std::this_thread::sleep_for(kPollInterval);
    }
    const auto end = users_.Get(&UserService::Stub::GetUserDeletion, "GetUserDeletion", request).deletion();
    Expect(end.state() == user::v1::DELETION_STATE_COMPLETED && end.posts() == 2, "COMPLETED with 2 posts removed");
  }

  void ShowGraceWithoutThePost() {
    Step("Her like went with the post, and her pin is empty: an event has told user-service.");
    post::v1::ListLikedPostsRequest liked;
    liked.set_user_id(grace_);
    const auto posts = posts_.Get(&PostService::Stub::ListLikedPosts, "ListLikedPosts", liked);
    Expect(posts.posts_size() == 0, "grace likes nothing");
    user::v1::GetUserRequest request;
    request.set_id(grace_);
    const auto user = users_.Get(&UserService::Stub::GetUser, "GetUser", request).user();
    Expect(!user.has_pinned_post_id(), "grace has no pin");
  }

  static constexpr int64_t kNobody = 999999;

  Client<UserService> users_;
  Client<PostService> posts_;
  int64_t ada_ = 0;
  int64_t grace_ = 0;
  int64_t adas_post_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: crosskey-walkthrough USER_ADDRESS POST_ADDRESS\n";
    return 2;
  }
  Walkthrough(argv[1], argv[2]).Run();
  return 0;
}
