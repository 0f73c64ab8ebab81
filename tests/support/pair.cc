#include "tests/support/pair.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/faults.h"
#include "tests/support/free_port.h"
#include "tests/support/integrity.h"
#include "tests/support/internal_channel.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using user::v1::UserService;

}  // namespace

std::shared_ptr<grpc::Channel> OpenChannel(int port) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
  return grpc::CreateCustomChannel(Loopback(port), grpc::InsecureChannelCredentials(), arguments);
}

std::unique_ptr<grpc::ClientContext> Context() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  context->set_wait_for_ready(true);
  return context;
}

Pair::Pair(const std::string& backend, bool start)
    : user_db_(std::make_unique<TestDatabase>(backend)),
      post_db_(std::make_unique<TestDatabase>(backend)),
      user_at_{FreePort(), FreePort()},
      post_at_{FreePort(), FreePort()} {
  users_ = UserService::NewStub(OpenChannel(user_at_.port));
  posts_ = post::v1::PostService::NewStub(OpenChannel(post_at_.port));
  const auto user_internal = OpenInternalChannel(user_at_.internal, *user_db_, *post_db_, false);
  const auto post_internal = OpenInternalChannel(post_at_.internal, *user_db_, *post_db_, true);
  user_references_ = ::relation::v1::ReferenceService::NewStub(user_internal);
  post_references_ = ::relation::v1::ReferenceService::NewStub(post_internal);
  user_events_ = event::v1::EventService::NewStub(user_internal);
  post_events_ = event::v1::EventService::NewStub(post_internal);
  internal_users_ = UserService::NewStub(user_internal);
  if (start) {
    StartUsers();
    StartPosts();
  }
}

Pair::~Pair() {
  post_replica_.reset();
  user_replica_.reset();
  StopPosts();
  StopUsers();
}

process::Options Pair::OptionsOf(const std::string& db, const Addresses& own, int peer) const {
  process::Options options;
  options.db = db::ParseUrl(db).value();
  options.db_pool = db_pool;
  options.max_in_flight = max_in_flight;
  options.event_retention = event_retention;
  options.listen = Loopback(own.port);
  options.internal_listen = Loopback(own.internal);
  options.peer = Loopback(peer);
  return options;
}

server::Hooks Pair::HooksFor(Recorder& sql, const std::atomic<bool>& hold_consumer) {
  server::Hooks hooks;
  hooks.seam = Seam(sql.observer());
  hooks.hold = [this, &hold_consumer](const std::string& task) {
    if (task == "consumer") return hold_consumer.load();
    if (task == "reclaim") return hold_reclaim.load();
    return task == "recovery" && hold_recovery.load();
  };
  hooks.now = [this] { return absl::Now() + absl::Seconds(clock_offset_seconds.load()); };
  hooks.migrate = true;
  hooks.no_drain_grace = true;
  hooks.deaf_for = deaf_for;
  return hooks;
}

server::Hooks Pair::UserHooks() { return HooksFor(user_sql_, hold_user_consumer); }
server::Hooks Pair::PostHooks() { return HooksFor(post_sql_, hold_post_consumer); }

void Pair::StartUsers() {
  process::Options options = OptionsOf(user_db_->UrlThrough(user_db_gate), user_at_,
                                       user_to_post_gate > 0 ? user_to_post_gate : post_at_.internal);
  if (adjust) adjust(true, options);
  auto app = users::App::Start(options, UserHooks());
  ASSERT_THAT(app, IsOk());
  user_app_ = *std::move(app);
  ASSERT_TRUE(WaitFor([&] { return user_app_->service().ready(); }));
  AwaitConnected();
}

void Pair::StartPosts() {
  process::Options options = OptionsOf(post_db_->UrlThrough(post_db_gate), post_at_,
                                       post_to_user_gate > 0 ? post_to_user_gate : user_at_.internal);
  if (adjust) adjust(false, options);
  auto app = posts::App::Start(options, PostHooks());
  ASSERT_THAT(app, IsOk());
  post_app_ = *std::move(app);
  ASSERT_TRUE(WaitFor([&] { return post_app_->service().ready(); }));
  AwaitConnected();
}

void Pair::StartReplicas() {
  const Addresses user{FreePort(), FreePort()};
  const Addresses post{FreePort(), FreePort()};
  auto user_app = users::App::Start(OptionsOf(user_db_->UrlAt(1), user, post.internal), UserHooks());
  auto post_app = posts::App::Start(OptionsOf(post_db_->UrlAt(1), post, user.internal), PostHooks());
  ASSERT_THAT(user_app, IsOk());
  ASSERT_THAT(post_app, IsOk());
  user_replica_ = *std::move(user_app);
  post_replica_ = *std::move(post_app);
  ASSERT_TRUE(WaitFor([&] { return user_replica_->service().ready() && post_replica_->service().ready(); }));
  replica_users_ = UserService::NewStub(OpenChannel(user.port));
  const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(60);
  EXPECT_TRUE(user_replica_->service().peer().channel()->WaitForConnected(deadline));
  EXPECT_TRUE(post_replica_->service().peer().channel()->WaitForConnected(deadline));
}

void Pair::AwaitConnected() {
  const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(60);
  if (user_app_ == nullptr || post_app_ == nullptr) return;
  EXPECT_TRUE(user_app_->service().peer().channel()->WaitForConnected(deadline));
  EXPECT_TRUE(post_app_->service().peer().channel()->WaitForConnected(deadline));
  EXPECT_TRUE(WaitFor([&] {
    const auto has_met = [](const events::Pairing& pairing) { return pairing.has_met() || pairing.is_mismatch(); };
    return has_met(user_app_->service().pairing()) && has_met(post_app_->service().pairing());
  }));
}

void Pair::StopUsers() { user_app_.reset(); }
void Pair::StopPosts() { post_app_.reset(); }

int64_t Pair::CreateUser(const std::string& name) {
  user::v1::CreateUserRequest request;
  request.set_username(name);
  user::v1::CreateUserResponse response;
  EXPECT_THAT(Invoke(*users_, &UserService::Stub::CreateUser, request, &response), GrpcOk());
  return response.user().id();
}

int64_t Pair::CreatePost(int64_t user_id, const std::string& title, const std::string& content) {
  post::v1::CreatePostRequest request;
  request.set_user_id(user_id);
  request.set_title(title);
  request.set_content(content);
  post::v1::CreatePostResponse response;
  EXPECT_THAT(Invoke(*posts_, &post::v1::PostService::Stub::CreatePost, request, &response), GrpcOk());
  return response.post().id();
}

std::vector<int64_t> Pair::CreatePosts(int64_t user_id, int count) {
  std::vector<int64_t> ids;
  while (count > 0) {
    post::v1::BatchCreatePostsRequest request;
    for (; count > 0 && request.requests_size() < 1000; --count) {
      auto* post = request.add_requests();
      post->set_user_id(user_id);
      post->set_title("title");
    }
    post::v1::BatchCreatePostsResponse response;
    EXPECT_THAT(Invoke(*posts_, &post::v1::PostService::Stub::BatchCreatePosts, request, &response), GrpcOk());
    for (const auto& post : response.posts()) ids.push_back(post.id());
  }
  return ids;
}

user::v1::UserDeletion Pair::Delete(int64_t user_id) {
  user::v1::UserDeletion deletion;
  EXPECT_THAT(TryDelete(user_id, ::relation::v1::REFERENTIAL_ACTION_UNSPECIFIED, &deletion), GrpcOk());
  return deletion;
}

grpc::Status Pair::TryCreatePost(int64_t user_id, post::v1::Post* post) {
  post::v1::CreatePostRequest request;
  request.set_user_id(user_id);
  request.set_title("title");
  post::v1::CreatePostResponse response;
  const grpc::Status status = Invoke(*posts_, &post::v1::PostService::Stub::CreatePost, request, &response);
  if (post != nullptr) *post = response.post();
  return status;
}

grpc::Status Pair::TryDelete(int64_t user_id, ::relation::v1::ReferentialAction action,
                             user::v1::UserDeletion* deletion) {
  user::v1::DeleteUserRequest request;
  request.set_id(user_id);
  request.set_on_delete(action);
  user::v1::DeleteUserResponse response;
  const grpc::Status status = Invoke(*users_, &UserService::Stub::DeleteUser, request, &response);
  if (deletion != nullptr) *deletion = response.deletion();
  return status;
}

grpc::Status Pair::TryGetPost(int64_t id) {
  post::v1::GetPostRequest request;
  request.set_id(id);
  post::v1::GetPostResponse response;
  return Invoke(*posts_, &post::v1::PostService::Stub::GetPost, request, &response);
}

grpc::Status Pair::TryGetUser(int64_t id, user::v1::User* user) {
  user::v1::GetUserRequest request;
  request.set_id(id);
  user::v1::GetUserResponse response;
  const grpc::Status status = Invoke(*users_, &UserService::Stub::GetUser, request, &response);
  if (user != nullptr) *user = response.user();
  return status;
}

std::vector<int64_t> Pair::ListPostIds(int64_t user_id) {
  std::vector<int64_t> ids;
  post::v1::ListPostsRequest request;
  request.set_user_id(user_id);
  request.set_page_size(1000);
  do {
    post::v1::ListPostsResponse response;
    const grpc::Status status = Invoke(*posts_, &post::v1::PostService::Stub::ListPosts, request, &response);
    EXPECT_THAT(status, GrpcOk());
    for (const auto& post : response.posts()) ids.push_back(post.id());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return ids;
}

user::v1::UserDeletion Pair::GetDeletion(int64_t user_id) {
  user::v1::GetUserDeletionRequest request;
  request.set_user_id(user_id);
  user::v1::GetUserDeletionResponse response;
  EXPECT_THAT(Invoke(*users_, &UserService::Stub::GetUserDeletion, request, &response), GrpcOk());
  return response.deletion();
}

void Pair::AwaitState(int64_t user_id, user::v1::DeletionState state) {
  EXPECT_TRUE(WaitFor([&] { return GetDeletion(user_id).state() == state; }))
      << GetDeletion(user_id).ShortDebugString();
}

void Pair::AwaitQuiet() { EXPECT_TRUE(testing::AwaitQuiet(*user_db_, *post_db_)); }

int64_t Pair::Orphans() { return testing::Orphans(*user_db_, *post_db_); }

}  // namespace crosskey::testing
