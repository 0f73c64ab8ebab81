// Functions that make one call to a service of a Cluster each, and a count of what calls answered.
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

// The context of a call that waits for a connection and then for the answer, for `limit` altogether.
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

// Returns one of these:
//   "OK";
//   the reason of an error whose code, details and RetryInfo are as proto/README.md documents them;
//   "CANCELLED", "DEADLINE_EXCEEDED", "UNAVAILABLE" or "RESOURCE_EXHAUSTED" for an error that gRPC itself makes,
//   without details;
//   a text that begins with "undocumented".
std::string OutcomeOf(const grpc::Status& status);

// Counts outcomes. Thread-safe.
class Outcomes {
 public:
  // Counts the outcome, and returns it.
  std::string Add(const grpc::Status& status);
  int64_t Count(const std::string& outcome) const;
  // The outcomes that are not in `expected`, and how often they came: "CONFLICT 2". "" if there are none.
  std::string Except(const std::set<std::string>& expected) const;
  // "OK 12, OVERLOADED 3"
  std::string ToString() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, int64_t> counts_;
};

}  // namespace crosskey::testing
