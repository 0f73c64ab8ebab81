// What can be done with users, except deleting them, which relation::Deletions does.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/idempotency/together.h"
#include "common/relation/child/guard.h"
#include "user-service/storage/user_store.h"

namespace crosskey::users {

struct UserChange {
  RowId id{};
  std::optional<int64_t> version;  // change only if the user still has this version
  std::optional<std::string> username;
  bool changes_pin = false;
  std::optional<RowId> pinned_post;  // with changes_pin: the post to pin; none: remove the pin
};

// Thread-safe. Arguments are valid: rpc/ has checked them. Each write hands its result to `record` in the transaction
// of its effect, so that the answer is stored with it.
class Users {
 public:
  // `posts` guards the pins.
  Users(UserStore& store, relation::Guard& posts) : store_(store), posts_(posts) {}

  // ALREADY_EXISTS USERNAME_TAKEN.
  absl::Status Create(const Call& call, const std::string& username, const idempotency::Record<User>& record);
  // Creates users of several calls, by their names, those that it can, in one transaction.
  absl::StatusOr<idempotency::Outcomes> CreateTogether(const Call& call,
                                                       const std::vector<idempotency::Share<std::string>>& shares,
                                                       const idempotency::RecordAll<User>& record);
  // NOT_FOUND USER_NOT_FOUND.
  absl::StatusOr<User> Get(const Call& call, RowId id);
  // Returns the users that exist, by ascending id.
  absl::StatusOr<std::vector<User>> BatchGet(const Call& call, const std::vector<RowId>& ids);
  absl::StatusOr<std::vector<User>> List(const Call& call, const std::string& username, RowId after, int64_t limit);
  // A change to the values that the user already has changes nothing, not even the etag. NOT_FOUND USER_NOT_FOUND,
  // ABORTED ETAG_MISMATCH, ABORTED PARENT_DELETING, ALREADY_EXISTS USERNAME_TAKEN or ALREADY_PINNED, and with a new pin
  // the errors of relation::Guard::Write.
  absl::Status Update(const Call& call, const UserChange& change, const idempotency::Record<User>& record);

 private:
  absl::Status Change(events::Tx& tx, const UserChange& change, const idempotency::Record<User>& record);

  UserStore& store_;
  relation::Guard& posts_;
};

}  // namespace crosskey::users
