// What clients asked of the services and what they were answered, as records for the checker.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <grpcpp/support/status.h>

#include "relation/v1/relation.pb.h"
#include "user/v1/user.pb.h"

namespace crosskey::testing {

enum class Op {
  kCreateUser,
  kCreatePost,
  kBatchCreatePosts,
  kUpdatePost,
  kDeletePost,
  kDeleteUser,
  kGetPost,
  kListPosts,
  kGetUser,
  kGetUserDeletion,
  kLikePost,
  kUnlikePost,
  kPinPost,    // UpdateUser that sets the pin and nothing else
  kUnpinPost,  // UpdateUser that clears the pin and nothing else
  kListPostLikes,
  kListLikedPosts
};
inline constexpr int kOps = 16;

enum class Outcome {
  kOk,
  kFailed,   // a definite refusal: a write did nothing
  kUnknown,  // a write may have taken effect, or may yet; a read tells nothing
};

// Later than everything: the end of a write whose outcome is unknown.
inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

// A post as an answer or a database shows it. Titles are numbers, so that each is written once.
struct Row {
  int64_t id = 0;
  int64_t user = 0;
  int64_t title = 0;
  int64_t likes = 0;  // its like_count
};

// One call. What does not apply to its operation is 0 or empty.
struct Entry {
  Op op = Op::kGetPost;
  Outcome outcome = Outcome::kOk;
  int64_t begin = 0;  // nanoseconds of one clock for all clients, above 0
  int64_t end = 0;
  // The request. An UpdatePost changes those of `user` and `title` that are not 0.
  int64_t user = 0;
  int64_t post = 0;
  int64_t title = 0;
  ::relation::v1::ReferentialAction action = ::relation::v1::REFERENTIAL_ACTION_UNSPECIFIED;
  // The answer.
  grpc::StatusCode code = grpc::StatusCode::OK;
  std::string reason;           // of the ErrorInfo, empty if there is none
  std::vector<Row> rows;        // posts created, changed, read or listed
  std::vector<int64_t> likers;  // users listed
  bool whole_list = true;       // a list that had no next page
  std::string uid;              // of a user created, changed or read
  int64_t pin = 0;              // the post that this user has pinned
  int64_t deletion_id = 0;
  ::relation::v1::ReferentialAction taken = ::relation::v1::REFERENTIAL_ACTION_UNSPECIFIED;  // the deletion's action
  user::v1::DeletionState state = user::v1::DELETION_STATE_UNSPECIFIED;
  // Further calls under the same request_id. `sends`: how often it was sent until its outcome was known or the client
  // gave up. `repeats`: how often again at the same time, or after it was done. `another_answer`: what one of these was
  // answered if it was not the same; empty: nothing.
  int sends = 1;
  int repeats = 0;
  std::string another_answer;
};

using History = std::vector<Entry>;

bool IsWrite(Op op);

// What an answer says about the effect of the call.
Outcome OutcomeOf(Op op, grpc::StatusCode code, const std::string& reason);

// Whether the API documents this error for the operation. With `faults`, the errors of IsFault count as documented too.
bool IsDocumented(Op op, grpc::StatusCode code, const std::string& reason, bool faults);

// Whether faults explain the error: gRPC gives it for a connection that breaks, a deadline that passes or a call that
// is cancelled, or a service is draining, or does not reach its peer or its database.
bool IsFault(grpc::StatusCode code, const std::string& reason);

const char* NameOf(Op op);
std::string ToString(const Entry& entry);

// TitleOf(17) is "t17". NumberOf is the reverse; 0 for a title that the workload has not made.
std::string TitleOf(int64_t number);
int64_t NumberOf(const std::string& title);

}  // namespace crosskey::testing
