// What can be done with users, except deleting them: that is relation::Deletions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "user-service/storage/user_store.h"

namespace crosskey::users {

struct UserChange {
  int64_t id = 0;
  std::optional<int64_t> version;  // change only if the user still has it
  std::optional<std::string> username;
};

// Thread-safe. Arguments are valid: rpc has checked them.
class Users {
 public:
  explicit Users(UserStore& store) : store_(store) {}

  // ALREADY_EXISTS USERNAME_TAKEN.
  absl::StatusOr<User> Create(const Call& call, const std::string& username);
  // NOT_FOUND USER_NOT_FOUND.
  absl::StatusOr<User> Get(const Call& call, int64_t id);
  // Those that exist, by ascending id.
  absl::StatusOr<std::vector<User>> BatchGet(const Call& call, const std::vector<int64_t>& ids);
  absl::StatusOr<std::vector<User>> List(const Call& call, const std::string& username, int64_t after, int64_t limit);
  // NOT_FOUND USER_NOT_FOUND, ABORTED ETAG_MISMATCH, ABORTED PARENT_DELETING, ALREADY_EXISTS USERNAME_TAKEN. A change
  // to what is there already changes nothing, the etag included.
  absl::StatusOr<User> Update(const Call& call, const UserChange& change);

 private:
  UserStore& store_;
};

}  // namespace crosskey::users
