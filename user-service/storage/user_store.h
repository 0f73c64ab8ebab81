// The users' table.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/events/outbox.h"
#include "user-service/domain/user.h"
#include "user-service/storage/users_sql.h"

namespace crosskey::users {

// Changes users within one transaction.
class UserTx {
 public:
  UserTx(events::Tx& tx, const UsersSql& sql) : tx_(tx), sql_(sql) {}

  // Fills in the id. ALREADY_EXISTS USERNAME_TAKEN.
  absl::Status Insert(User& user);
  // Which of these names users have. At most 1,000.
  absl::StatusOr<std::set<std::string>> Taken(const std::vector<std::string>& names);
  // Fills in the ids. At most 1,000. Any error of the database if a name is taken.
  absl::Status InsertAll(std::vector<User>& users);
  // Returns the user, locked against every change until the end of the transaction; nullopt if there is none.
  absl::StatusOr<std::optional<User>> Lock(RowId id);
  // Stores username, version and update_time, and the pin only if `with_pin` is set. A pin whose post is deleted reads
  // as null, but the reclaim has yet to clear its column. So a pin that does not change must not be stored.
  // ALREADY_EXISTS USERNAME_TAKEN or ALREADY_PINNED.
  absl::Status Update(const User& user, bool with_pin);

 private:
  events::Tx& tx_;
  const UsersSql& sql_;
};

// Thread-safe.
class UserStore {
 public:
  UserStore(events::Outbox& outbox, const relation::Visibility& visibility) : outbox_(outbox), sql_(visibility) {}

  // See events::Outbox::Transact.
  template <typename Body>
  auto Transact(const Call& call, const char* name, Body&& body) {
    return outbox_.Transact(call, name, std::forward<Body>(body));
  }
  // The users within a transaction.
  UserTx In(events::Tx& tx) const { return {tx, sql_}; }

  // Returns the users that exist, by ascending id. At most 1,000 ids.
  absl::StatusOr<std::vector<User>> Get(const Call& call, const std::vector<RowId>& ids);
  // Returns at most `limit` users with an id above `after`, by ascending id. If `username` is not empty, only the user
  // with that name.
  absl::StatusOr<std::vector<User>> List(const Call& call, const std::string& username, RowId after, int64_t limit);

 private:
  events::Outbox& outbox_;
  const UsersSql sql_;
};

}  // namespace crosskey::users
