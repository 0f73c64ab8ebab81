// What can be done with users, except deleting them: that is relation::Deletions.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/relation/guard.h"
#include "user-service/storage/user_store.h"

namespace crosskey::users {

struct UserChange {
  int64_t id = 0;
  std::optional<int64_t> version;  // change only if the user still has it
  std::optional<std::string> username;
  bool changes_pin = false;
  std::optional<int64_t> pinned_post;  // with changes_pin: the new one, or none
};

// Thread-safe. Arguments are valid: rpc has checked them. Writes pass their result to `answer`, within the transaction and
// as often as it is run.
class Users {
 public:
  // `posts` guards the pins.
  Users(UserStore& store, relation::Guard& posts) : store_(store), posts_(posts) {}

  // ALREADY_EXISTS USERNAME_TAKEN.
  absl::Status Create(const Call& call, const std::string& username, const std::function<void(const User&)>& answer);
  // NOT_FOUND USER_NOT_FOUND.
  absl::StatusOr<User> Get(const Call& call, int64_t id);
  // Those that exist, by ascending id.
  absl::StatusOr<std::vector<User>> BatchGet(const Call& call, const std::vector<int64_t>& ids);
  absl::StatusOr<std::vector<User>> List(const Call& call, const std::string& username, int64_t after, int64_t limit);
  // NOT_FOUND USER_NOT_FOUND, ABORTED ETAG_MISMATCH, ABORTED PARENT_DELETING, ALREADY_EXISTS USERNAME_TAKEN or
  // ALREADY_PINNED, and with a new pin the errors of relation::Guard::Write. A change to what is there already changes
  // nothing, the etag included.
  absl::Status Update(const Call& call, const UserChange& change, const std::function<void(const User&)>& answer);

 private:
  absl::Status Change(UserTx& tx, const UserChange& change, const std::function<void(const User&)>& answer);

  UserStore& store_;
  relation::Guard& posts_;
};

}  // namespace crosskey::users
