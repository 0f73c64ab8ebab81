#include "tests/workload/history.h"

#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace crosskey::testing {
namespace {

using grpc::StatusCode;
using Error = std::pair<StatusCode, std::string>;

const Error kUserNotFound = {StatusCode::NOT_FOUND, "USER_NOT_FOUND"};
const Error kPostNotFound = {StatusCode::NOT_FOUND, "POST_NOT_FOUND"};
const Error kDeletionNotFound = {StatusCode::NOT_FOUND, "DELETION_NOT_FOUND"};
const Error kForeignKey = {StatusCode::FAILED_PRECONDITION, "FOREIGN_KEY_VIOLATION"};
const Error kRestricted = {StatusCode::FAILED_PRECONDITION, "RESTRICTED"};
const Error kDeleting = {StatusCode::ABORTED, "PARENT_DELETING"};
const Error kAlreadyPinned = {StatusCode::ALREADY_EXISTS, "ALREADY_PINNED"};
const Error kConflict = {StatusCode::ABORTED, "CONFLICT"};
const Error kOverloaded = {StatusCode::RESOURCE_EXHAUSTED, "OVERLOADED"};

// The errors of proto/README.md that this workload can provoke, by operation. USERNAME_TAKEN is not among them: every
// name is sent by one request only, so the error would mean that the request took effect twice. REQUEST_ID_REUSED is
// not either, because no request_id is used for a second request.
const std::set<Error>& ErrorsOf(Op op) {
  static const std::set<Error> create_user = {kConflict, kOverloaded};
  static const std::set<Error> create_post = {kForeignKey, kDeleting, kConflict, kOverloaded};
  static const std::set<Error> update_post = {kPostNotFound, kForeignKey, kDeleting, kConflict, kOverloaded};
  static const std::set<Error> delete_post = {kPostNotFound, kConflict, kOverloaded};
  static const std::set<Error> delete_user = {kUserNotFound, kRestricted, kDeleting, kConflict, kOverloaded};
  static const std::set<Error> get_post = {kPostNotFound, kOverloaded};
  static const std::set<Error> list_posts = {kOverloaded};
  static const std::set<Error> get_user = {kUserNotFound, kOverloaded};
  static const std::set<Error> get_deletion = {kDeletionNotFound, kOverloaded};
  static const std::set<Error> unlike_post = {kConflict, kOverloaded};
  static const std::set<Error> pin_post = {kUserNotFound, kForeignKey, kAlreadyPinned,
                                           kDeleting,     kConflict,   kOverloaded};
  static const std::set<Error> unpin_post = {kUserNotFound, kDeleting, kConflict, kOverloaded};
  switch (op) {
    case Op::kCreateUser:
      return create_user;
    case Op::kCreatePost:
    case Op::kBatchCreatePosts:
    case Op::kLikePost:
      return create_post;
    case Op::kUnlikePost:
      return unlike_post;
    case Op::kPinPost:
      return pin_post;
    case Op::kUnpinPost:
      return unpin_post;
    case Op::kUpdatePost:
      return update_post;
    case Op::kDeletePost:
      return delete_post;
    case Op::kDeleteUser:
      return delete_user;
    case Op::kGetPost:
    case Op::kListPostLikes:
      return get_post;
    case Op::kListPosts:
    case Op::kListLikedPosts:
      return list_posts;
    case Op::kGetUser:
      return get_user;
    case Op::kGetUserDeletion:
      break;
  }
  return get_deletion;
}

const std::set<Error>& ErrorsOfFaults() {
  static const std::set<Error> errors = {
      {StatusCode::UNAVAILABLE, ""},
      {StatusCode::CANCELLED, ""},
      {StatusCode::DEADLINE_EXCEEDED, ""},
      {StatusCode::UNAVAILABLE, "PEER_UNAVAILABLE"},
      {StatusCode::UNAVAILABLE, "DATABASE_UNAVAILABLE"},
      {StatusCode::UNAVAILABLE, "DRAINING"},
  };
  return errors;
}

}  // namespace

bool IsWrite(Op op) {
  return op != Op::kGetPost && op != Op::kListPosts && op != Op::kGetUser && op != Op::kGetUserDeletion &&
         op != Op::kListPostLikes && op != Op::kListLikedPosts;
}

Outcome OutcomeOf(Op op, StatusCode code, const std::string& reason) {
  if (code == StatusCode::OK) return Outcome::kOk;
  if (code == StatusCode::UNAVAILABLE || code == StatusCode::CANCELLED || code == StatusCode::DEADLINE_EXCEEDED ||
      code == StatusCode::INTERNAL || code == StatusCode::UNKNOWN) {
    return Outcome::kUnknown;
  }
  // Such an error ends the call but not the deletion: once the intent is stored, the deletion goes on.
  const Error error = {code, reason};
  if (op == Op::kDeleteUser && (error == kConflict || error == kOverloaded)) return Outcome::kUnknown;
  return Outcome::kFailed;
}

bool IsDocumented(Op op, StatusCode code, const std::string& reason, bool faults) {
  if (code == StatusCode::OK) return true;
  return ErrorsOf(op).count({code, reason}) > 0 || (faults && IsFault(code, reason));
}

bool IsFault(StatusCode code, const std::string& reason) { return ErrorsOfFaults().count({code, reason}) > 0; }

const char* NameOf(Op op) {
  static constexpr const char* kNames[kOps] = {"CreateUser", "CreatePost",      "BatchCreatePosts", "UpdatePost",
                                               "DeletePost", "DeleteUser",      "GetPost",          "ListPosts",
                                               "GetUser",    "GetUserDeletion", "LikePost",         "UnlikePost",
                                               "PinPost",    "UnpinPost",       "ListPostLikes",    "ListLikedPosts"};
  return kNames[static_cast<int>(op)];
}

std::string ToString(const Entry& entry) {
  static constexpr const char* kOutcomes[] = {"ok", "failed", "unknown"};
  std::string text = absl::StrCat(NameOf(entry.op), " [", entry.begin, ", ", entry.end, "] ",
                                  kOutcomes[static_cast<int>(entry.outcome)], " user ", entry.user, " post ",
                                  entry.post, " title ", entry.title, " action ", static_cast<int>(entry.action));
  if (entry.code != StatusCode::OK) absl::StrAppend(&text, " error ", static_cast<int>(entry.code), " ", entry.reason);
  if (entry.deletion_id != 0) {
    absl::StrAppend(&text, " deletion ", entry.deletion_id, " action ", static_cast<int>(entry.taken), " state ",
                    static_cast<int>(entry.state));
  }
  if (entry.pin != 0) absl::StrAppend(&text, " pin ", entry.pin);
  if (entry.sends > 1) absl::StrAppend(&text, " sent ", entry.sends, " times");
  if (!entry.another_answer.empty()) absl::StrAppend(&text, " and again answered ", entry.another_answer);
  if (!entry.likers.empty()) absl::StrAppend(&text, " likers ", absl::StrJoin(entry.likers, ","));
  absl::StrAppend(&text, " rows ", entry.rows.size());
  for (size_t i = 0; i < entry.rows.size() && i < 5; ++i) {
    absl::StrAppend(&text, " (", entry.rows[i].id, " of ", entry.rows[i].user, " t", entry.rows[i].title, " likes ",
                    entry.rows[i].likes, ")");
  }
  return text;
}

std::string TitleOf(int64_t number) { return absl::StrCat("t", number); }

int64_t NumberOf(const std::string& title) {
  int64_t number = 0;
  return !title.empty() && title[0] == 't' && absl::SimpleAtoi(title.substr(1), &number) ? number : 0;
}

}  // namespace crosskey::testing
