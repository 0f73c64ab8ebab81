// A client of both services: crosskey-example USER_TARGET POST_TARGET [SERVICE_CONFIG]
//
// Creates a user and posts, lists them in pages, reads why a post of a user that does not exist is refused, repeats a
// write safely, and deletes the user with all posts. Ends with exit code 1 if something is not as it should be. TLS and
// credentials are those of the environment: see credentials.h.
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <memory>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

#include <grpcpp/grpcpp.h>

#include "deploy/clients/cpp/credentials.h"
#include "deploy/clients/cpp/errors.h"
#include "post/v1/post_service.grpc.pb.h"
#include "user/v1/user_service.grpc.pb.h"

namespace {

using post::v1::PostService;
using user::v1::UserService;

constexpr int64_t kNobody = 999999999;
constexpr std::chrono::seconds kTimeout{10};

[[noreturn]] void Fail(const std::string& what) {
  std::cout << std::flush;
  std::cerr << "not as expected: " << what << "\n";
  std::exit(1);
}

void Check(const std::string& call, const grpc::Status& status) {
  if (status.ok()) return;
  const auto error = crosskey::client::ReadError(status);
  // Errors that gRPC itself makes have no reason.
  const std::string reason = error.reason.empty() ? "" : " " + error.reason;
  Fail(call + ": " + crosskey::client::CodeName(error.code) + reason + ": " + error.message);
}

template <typename Service, typename Request, typename Response>
using Method = grpc::Status (Service::Stub::*)(grpc::ClientContext*, const Request&, Response*);

// A client of one service. Retries, round_robin and health checks of its channel are those of the service config.
template <typename Service>
class Client {
 public:
  Client(const std::string& target, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
         const std::string& service_config) {
    grpc::ChannelArguments arguments;
    arguments.SetServiceConfigJSON(service_config);
    stub_ = Service::NewStub(grpc::CreateCustomChannel(target, credentials, arguments));
  }

  template <typename Request, typename Response>
  grpc::Status Try(Method<Service, Request, Response> method, const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kTimeout);
    return (stub_.get()->*method)(&context, request, response);
  }

  template <typename Request, typename Response>
  Response Call(const std::string& name, Method<Service, Request, Response> method, const Request& request) {
    Response response;
    Check(name, Try(method, request, &response));
    return response;
  }

  // Makes a write that may be repeated, and leaves its request_id in the request.
  template <typename Request, typename Response>
  Response Write(const std::string& name, Method<Service, Request, Response> method, Request* request) {
    Response response;
    Check(name, crosskey::client::WithRequestId([&](grpc::ClientContext* context, const std::string& request_id) {
            request->set_request_id(request_id);
            return (stub_.get()->*method)(context, *request, &response);
          }));
    return response;
  }

 private:
  std::unique_ptr<typename Service::Stub> stub_;
};

int64_t CreateUser(Client<UserService>* users) {
  std::ostringstream name;
  name << "ada-" << std::hex << std::setw(8) << std::setfill('0') << std::random_device()();
  user::v1::CreateUserRequest request;
  request.set_username(name.str());
  const auto user = users->Write("CreateUser", &UserService::Stub::CreateUser, &request).user();
  std::cout << "created users/" << user.id() << " \"" << user.username() << "\"\n";
  return user.id();
}

void CreateAndListPosts(Client<PostService>* posts, int64_t user) {
  post::v1::BatchCreatePostsRequest batch;
  for (int i = 1; i <= 5; ++i) {
    auto* one = batch.add_requests();
    one->set_title("Post " + std::to_string(i));
    one->set_user_id(user);
  }
  const auto created = posts->Write("BatchCreatePosts", &PostService::Stub::BatchCreatePosts, &batch);
  std::cout << "created " << created.posts_size() << " posts in one call\n";

  post::v1::ListPostsRequest list;
  list.set_user_id(user);
  list.set_page_size(2);
  int number = 0;
  // An empty token is the only mark of the end: a page may be short before that.
  do {
    const auto page = posts->Call("ListPosts", &PostService::Stub::ListPosts, list);
    std::cout << "page " << ++number << ": " << page.posts_size() << " posts\n";
    list.set_page_token(page.next_page_token());
  } while (!list.page_token().empty());
}

void ReadRefusal(Client<PostService>* posts) {
  post::v1::CreatePostRequest request;
  request.set_title("By nobody");
  request.set_user_id(kNobody);
  post::v1::CreatePostResponse response;
  auto error = crosskey::client::ReadError(posts->Try(&PostService::Stub::CreatePost, request, &response));
  if (error.reason != "FOREIGN_KEY_VIOLATION") {
    Fail("CreatePost of nobody: " + crosskey::client::CodeName(error.code) + ": " + error.message);
  }
  std::cout << "refused: " << crosskey::client::CodeName(error.code) << " " << error.reason << ": "
            << error.metadata["relationship"] << " refers to " << error.metadata["resource"];
  for (const auto& [type, subject, description] : error.precondition_violations) {
    std::cout << " (" << type << " " << subject << ": " << description << ")";
  }
  std::cout << "\n";
}

void CreateTwice(Client<PostService>* posts, int64_t user) {
  post::v1::CreatePostRequest request;
  request.set_title("Once");
  request.set_user_id(user);
  const auto first = posts->Write("CreatePost", &PostService::Stub::CreatePost, &request).post();
  const auto again = posts->Call("CreatePost", &PostService::Stub::CreatePost, request).post();
  std::cout << "created posts/" << first.id() << ", and again under the same request_id: posts/" << again.id() << "\n";
  if (first.id() != again.id()) Fail("CreatePost under the same request_id made another post");
}

void Delete(Client<UserService>* users, int64_t user) {
  // A deletion takes the user's posts along: look first how many there are.
  user::v1::DeleteUserRequest request;
  request.set_id(user);
  request.set_validate_only(true);
  const auto preview = users->Call("DeleteUser", &UserService::Stub::DeleteUser, request).deletion();
  std::cout << "preview: deleting users/" << user << " would delete " << preview.posts() << " posts\n";
  request.set_validate_only(false);
  const auto begun = users->Write("DeleteUser", &UserService::Stub::DeleteUser, &request).deletion();
  std::cout << "deleted: " << user::v1::DeletionState_Name(begun.state()) << "\n";

  // Nobody has to wait for the end: the posts are gone for every reader already, and only their rows are still being
  // removed.
  user::v1::GetUserDeletionRequest get;
  get.set_user_id(user);
  for (const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);;) {
    const auto now = users->Call("GetUserDeletion", &UserService::Stub::GetUserDeletion, get).deletion();
    if (now.state() == user::v1::DELETION_STATE_COMPLETED) {
      std::cout << "followed: " << user::v1::DeletionState_Name(now.state()) << ", " << now.posts()
                << " posts removed\n";
      return;
    }
    if (std::chrono::steady_clock::now() > deadline) Fail("the deletion does not complete: " + now.ShortDebugString());
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3 && argc != 4) {
    std::cerr << "usage: crosskey-example USER_TARGET POST_TARGET [SERVICE_CONFIG]\n";
    return 2;
  }
  const std::string file_name = argc == 4 ? argv[3] : CROSSKEY_SERVICE_CONFIG;
  std::ifstream file(file_name);
  if (!file) Fail("cannot read " + file_name);
  const std::string service_config{std::istreambuf_iterator<char>(file), {}};
  const auto credentials = crosskey::client::CredentialsFromEnvironment();
  Client<UserService> users(argv[1], credentials, service_config);
  Client<PostService> posts(argv[2], credentials, service_config);
  const int64_t user = CreateUser(&users);
  CreateAndListPosts(&posts, user);
  ReadRefusal(&posts);
  CreateTwice(&posts, user);
  Delete(&users, user);
  return 0;
} catch (const std::runtime_error& error) {
  Fail(error.what());
}
