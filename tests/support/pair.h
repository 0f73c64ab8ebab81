// Both services in this process, over real sockets and real databases, with the switches that tests need.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <grpcpp/channel.h>

#include "event/v1/event_service.grpc.pb.h"
#include "post-service/app.h"
#include "post/v1/post_service.grpc.pb.h"
#include "relation/v1/reference_service.grpc.pb.h"
#include "tests/support/recorder.h"
#include "tests/support/test_database.h"
#include "user-service/app.h"
#include "user/v1/user_service.grpc.pb.h"

namespace crosskey::testing {

class Pair {
 public:
  // `start` false: starts neither service.
  explicit Pair(const std::string& backend, bool start = true);
  ~Pair();

  // Start a service, and wait until it is ready and, if both run, until they are connected. A service that is started
  // again keeps its database and addresses.
  void StartUsers();
  void StartPosts();
  // Starts a second instance of each service, as a second process would be: with the same databases and other
  // addresses. Database servers only.
  void StartReplicas();
  void StopUsers();
  void StopPosts();

  user::v1::UserService::Stub& users() { return *users_; }
  post::v1::PostService::Stub& posts() { return *posts_; }
  ::relation::v1::ReferenceService::Stub& user_references() { return *user_references_; }
  ::relation::v1::ReferenceService::Stub& post_references() { return *post_references_; }
  event::v1::EventService::Stub& user_events() { return *user_events_; }
  event::v1::EventService::Stub& post_events() { return *post_events_; }
  user::v1::UserService::Stub& internal_users() { return *internal_users_; }

  // If the call fails, these fail the test and return 0 or an empty answer.
  int64_t CreateUser(const std::string& name);
  int64_t CreatePost(int64_t user_id, const std::string& title = "title", const std::string& content = "content");
  std::vector<int64_t> CreatePosts(int64_t user_id, int count);  // by batches of 1,000
  user::v1::UserDeletion Delete(int64_t user_id);

  // The Try functions make one call and return its status.
  grpc::Status TryCreatePost(int64_t user_id, post::v1::Post* post = nullptr);
  grpc::Status TryDelete(int64_t user_id, ::relation::v1::ReferentialAction action,
                         user::v1::UserDeletion* deletion = nullptr);
  grpc::Status TryGetPost(int64_t id);
  grpc::Status TryGetUser(int64_t id, user::v1::User* user = nullptr);
  std::vector<int64_t> ListPostIds(int64_t user_id);  // all pages
  user::v1::UserDeletion GetDeletion(int64_t user_id);

  // Waits until the deletion is in this state; the test fails if that takes too long.
  void AwaitState(int64_t user_id, user::v1::DeletionState state);
  // See integrity.h.
  void AwaitQuiet();
  int64_t Orphans();

  TestDatabase& user_db() { return *user_db_; }
  TestDatabase& post_db() { return *post_db_; }
  Recorder& user_sql() { return user_sql_; }
  Recorder& post_sql() { return post_sql_; }
  user::v1::UserService::Stub& replica_users() { return *replica_users_; }
  users::App& replica_user_app() { return *user_replica_; }
  posts::App& replica_post_app() { return *post_replica_; }
  users::App& user_app() { return *user_app_; }
  posts::App& post_app() { return *post_app_; }

  std::atomic<bool> hold_reclaim = false;
  std::atomic<bool> hold_user_consumer = false;  // user-service takes in no events; set before it starts
  std::atomic<bool> hold_post_consumer = false;  // post-service likewise
  std::atomic<bool> hold_recovery = false;
  std::atomic<int64_t> clock_offset_seconds = 0;  // added to the clock for the ages of deletions and events
  // Ports of gates in front of what a service talks to, or of what it takes for that; set before it starts. 0: the
  // right one, without a gate.
  int user_to_post_gate = 0;
  int post_to_user_gate = 0;
  int user_db_gate = 0;  // database servers only
  int post_db_gate = 0;
  int user_internal_port() const { return user_at_.internal; }
  int post_internal_port() const { return post_at_.internal; }

  // Changes the options of a service before it starts: the first argument tells whether it is user-service. The stubs
  // of a Pair speak no TLS.
  std::function<void(bool, process::Options&)> adjust;
  int user_port() const { return user_at_.port; }
  int post_port() const { return post_at_.port; }

  int max_in_flight = 256;
  absl::Duration event_retention = limits::kEventRetention;
  int db_pool = 8;
  absl::Duration deaf_for = absl::Seconds(30);  // see server::Hooks

 private:
  struct Addresses {
    int port;
    int internal;
  };

  process::Options OptionsOf(const std::string& db, const Addresses& own, int peer) const;
  server::Hooks HooksFor(Recorder& sql, const std::atomic<bool>& hold_consumer);
  server::Hooks UserHooks();
  server::Hooks PostHooks();
  void AwaitConnected();

  std::unique_ptr<TestDatabase> user_db_;
  std::unique_ptr<TestDatabase> post_db_;
  Recorder user_sql_;
  Recorder post_sql_;
  const Addresses user_at_;
  const Addresses post_at_;
  std::unique_ptr<users::App> user_app_;
  std::unique_ptr<posts::App> post_app_;
  std::unique_ptr<users::App> user_replica_;
  std::unique_ptr<posts::App> post_replica_;
  std::unique_ptr<user::v1::UserService::Stub> replica_users_;
  std::unique_ptr<user::v1::UserService::Stub> users_;
  std::unique_ptr<post::v1::PostService::Stub> posts_;
  std::unique_ptr<::relation::v1::ReferenceService::Stub> user_references_;
  std::unique_ptr<::relation::v1::ReferenceService::Stub> post_references_;
  std::unique_ptr<event::v1::EventService::Stub> user_events_;
  std::unique_ptr<event::v1::EventService::Stub> post_events_;
  std::unique_ptr<user::v1::UserService::Stub> internal_users_;
};

// A channel to a port of the loopback address that notices soon that a server has come back.
std::shared_ptr<grpc::Channel> OpenChannel(int port);

// A context with the deadline that every call of a test has.
std::unique_ptr<grpc::ClientContext> Context();

// Calls `method` of `stub` and returns its status: Invoke(stub, &Stub::GetUser, request, &response).
template <typename Stub, typename Request, typename Response>
grpc::Status Invoke(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) {
  const auto context = Context();
  return (stub.*method)(context.get(), request, response);
}

}  // namespace crosskey::testing
