#include "user-service/domain/users.h"

#include "absl/time/clock.h"
#include "common/events/uuid.h"
#include "common/status/errors.h"
#include "user-service/events/user_events.h"

namespace crosskey::users {

absl::StatusOr<User> Users::Create(const Call& call, const std::string& username) {
  User user;
  CROSSKEY_RETURN_IF_ERROR(store_.Transact(call, "user.create", [&](UserTx& tx) -> absl::Status {
    user = User{};
    user.uid = NewUuid();
    user.username = username;
    user.version = 1;
    user.create_time = user.update_time = absl::ToUnixMicros(absl::Now());
    CROSSKEY_RETURN_IF_ERROR(tx.Insert(user));
    tx.Append(UserCreated(user.id, user.uid));
    return absl::OkStatus();
  }));
  return user;
}

absl::StatusOr<User> Users::Get(const Call& call, int64_t id) {
  CROSSKEY_ASSIGN_OR_RETURN(auto users, store_.Get(call, {id}));
  if (users.empty()) return errors::NotFound(kUserType, id);
  return std::move(users.front());
}

absl::StatusOr<std::vector<User>> Users::BatchGet(const Call& call, const std::vector<int64_t>& ids) {
  return store_.Get(call, ids);
}

absl::StatusOr<std::vector<User>> Users::List(const Call& call, const std::string& username, int64_t after,
                                              int64_t limit) {
  return store_.List(call, username, after, limit);
}

absl::StatusOr<User> Users::Update(const Call& call, const UserChange& change) {
  User user;
  CROSSKEY_RETURN_IF_ERROR(store_.Transact(call, "user.update", [&](UserTx& tx) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(std::optional<User> found, tx.Lock(change.id));
    if (!found.has_value()) return errors::NotFound(kUserType, change.id);
    user = std::move(*found);
    if (change.version.has_value() && *change.version != user.version) return errors::EtagMismatch(kUserType, user.id);
    if (user.state == relation::ParentState::kDeleting) return errors::ParentDeleting(kUserType, user.id);
    if (!change.username.has_value() || *change.username == user.username) return absl::OkStatus();
    user.username = *change.username;
    ++user.version;
    user.update_time = absl::ToUnixMicros(absl::Now());
    CROSSKEY_RETURN_IF_ERROR(tx.Update(user));
    tx.Append(UserUpdated(user.id, user.uid, {"username"}));
    return absl::OkStatus();
  }));
  return user;
}

}  // namespace crosskey::users
