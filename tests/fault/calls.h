// One call each to a service of a Cluster, and a count of what calls answered.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include "absl/time/time.h"
#include "post/v1/post_service.grpc.pb.h"
#include "user/v1/user_service.grpc.pb.h"

namespace crosskey::testing {

using UserStub = user::v1::UserService::Stub;
using PostStub = post::v1::PostService::Stub;

// Waits for a connection and then for the answer, for `limit` altogether.
std::unique_ptr<grpc::ClientContext> ContextFor(absl::Duration limit);
constexpr absl::Duration kCallLimit = absl::Seconds(60);

grpc::Status TryCreateUser(UserStub& users, const std::string& name, int64_t* id, absl::Duration limit = kCallLimit);
grpc::Status TryGetUser(UserStub& users, int64_t id, absl::Duration limit = kCallLimit);
grpc::Status TryDelete(UserStub& users, int64_t id, ::relation::v1::ReferentialAction action,
                       user::v1::UserDeletion* deletion = nullptr, absl::Duration limit = kCallLimit);
grpc::Status TryCreatePost(PostStub& posts, int64_t user, int64_t* id = nullptr, absl::Duration limit = kCallLimit);
grpc::Status TryGetPost(PostStub& posts, int64_t id, absl::Duration limit = kCallLimit);
// Gives the post to another user.
grpc::Status TryMovePost(PostStub& posts, int64_t id, int64_t user);

// These fail the test if the call fails.
int64_t CreateUser(UserStub& users, const std::string& name);
std::vector<int64_t> CreatePosts(PostStub& posts, int64_t user, int count);  // at most 1,000
// Waits until the deletion of this user is in that state.
void AwaitDeletion(UserStub& users, int64_t user, user::v1::DeletionState state);

// "OK"; or the reason of an error that is as the table of errors has it: code, details, RetryInfo; or the code
// of an error that gRPC itself makes and that has no details ("CANCELLED", "DEADLINE_EXCEEDED", "UNAVAILABLE",
// "RESOURCE_EXHAUSTED"); or a text that begins with "undocumented".
std::string OutcomeOf(const grpc::Status& status);

// Counts outcomes. Thread-safe.
class Outcomes {
 public:
  // Returns the outcome.
  std::string Add(const grpc::Status& status);
  int64_t Count(const std::string& outcome) const;
  // "" if nothing else has happened, else what and how often.
  std::string Except(const std::set<std::string>& expected) const;
  // "OK 12, OVERLOADED 3"
  std::string ToString() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, int64_t> counts_;
};

}  // namespace crosskey::testing
