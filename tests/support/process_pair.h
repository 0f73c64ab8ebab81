// Both services as processes of their own, as they are deployed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "post/v1/post_service.grpc.pb.h"
#include "tests/support/child_process.h"
#include "tests/support/test_database.h"
#include "user/v1/user_service.grpc.pb.h"

namespace crosskey::testing {

class ProcessPair {
 public:
  // Starts neither service.
  explicit ProcessPair(const std::string& backend);

  // Runs `migrate` of both services; the test fails if that does.
  void Migrate();
  // Starts a service, with `more` flags. With `wait`, returns when it is SERVING.
  void StartUsers(bool wait = true, const std::vector<std::string>& more = {});
  void StartPosts(bool wait = true, const std::vector<std::string>& more = {});

  ChildProcess& user_process() { return *user_process_; }
  ChildProcess& post_process() { return *post_process_; }
  void DropUsers() { user_process_.reset(); }  // kill -9
  void DropPosts() { post_process_.reset(); }

  user::v1::UserService::Stub& users() { return *users_; }
  post::v1::PostService::Stub& posts() { return *posts_; }
  TestDatabase& user_db() { return user_db_; }
  TestDatabase& post_db() { return post_db_; }
  std::string user_address() const;
  int user_metrics_port() const { return ports_[4]; }
  bool Healthy(const std::string& service) const;

 private:
  std::vector<std::string> Flags(int index, const TestDatabase& database) const;

  TestDatabase user_db_;
  TestDatabase post_db_;
  std::vector<int> ports_;
  std::unique_ptr<ChildProcess> user_process_;
  std::unique_ptr<ChildProcess> post_process_;
  std::unique_ptr<user::v1::UserService::Stub> users_;
  std::unique_ptr<post::v1::PostService::Stub> posts_;
};

}  // namespace crosskey::testing
