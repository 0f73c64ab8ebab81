#include "user-service/domain/users.h"

#include <set>

#include "absl/time/clock.h"
#include "common/events/uuid.h"
#include "common/status/errors.h"
#include "user-service/events/user_events.h"

namespace crosskey::users {

namespace {

User Made(const std::string& username) {
  User user;
  user.uid = NewUuid();
  user.username = username;
  user.version = 1;
  user.create_time = user.update_time = absl::ToUnixMicros(absl::Now());
  return user;
}

}  // namespace

absl::Status Users::Create(const Call& call, const std::string& username, const idempotency::Record<User>& record) {
  CROSSKEY_RETURN_IF_ERROR(call.MayWriteForAll());
  return store_.Transact(call, "user.create", [&](events::Tx& tx) -> absl::Status {
    User user = Made(username);
    CROSSKEY_RETURN_IF_ERROR(store_.In(tx).Insert(user));
    tx.Append(UserCreated(user.id, user.uid));
    return record(tx.db(), user);
  });
}

absl::StatusOr<idempotency::Outcomes> Users::CreateTogether(const Call& call,
                                                            const std::vector<idempotency::Share<std::string>>& shares,
                                                            const idempotency::RecordAll<User>& record) {
  const auto create = [&](events::Tx& tx) -> absl::StatusOr<idempotency::Joint> {
    std::vector<std::string> names;
    for (const auto& share : shares) names.push_back(*share.write);
    // A name that is taken would fail the others with it. So such a user is created alone, where the error is told.
    CROSSKEY_ASSIGN_OR_RETURN(std::set<std::string> taken, store_.In(tx).Taken(names));
    idempotency::Outcomes outcomes(shares.size());
    std::vector<User> created;
    std::vector<size_t> positions;
    for (size_t i = 0; i < shares.size(); ++i) {
      outcomes[i] = shares[i].call->MayWriteForAll();
      if (outcomes[i]->ok()) outcomes[i] = shares[i].call->Check();
      if (!outcomes[i]->ok()) continue;
      if (!taken.insert(names[i]).second) {
        outcomes[i].reset();
        continue;
      }
      created.push_back(Made(names[i]));
      positions.push_back(i);
    }
    std::vector<std::optional<User>> results(shares.size());
    if (!created.empty()) CROSSKEY_RETURN_IF_ERROR(store_.In(tx).InsertAll(created));
    for (size_t i = 0; i < created.size(); ++i) {
      tx.set_traceparent(shares[positions[i]].call->traceparent);
      tx.Append(UserCreated(created[i].id, created[i].uid));
      results[positions[i]] = std::move(created[i]);
    }
    CROSSKEY_RETURN_IF_ERROR(record(tx.db(), results));
    return idempotency::CommitIfAny(std::move(outcomes));
  };
  return idempotency::OutcomesOf(store_.Transact(call, "user.create", create));
}

absl::StatusOr<User> Users::Get(const Call& call, RowId id) {
  CROSSKEY_ASSIGN_OR_RETURN(auto users, store_.Get(call, {id}));
  if (users.empty()) return errors::NotFound(kUserType, id);
  return std::move(users.front());
}

absl::StatusOr<std::vector<User>> Users::BatchGet(const Call& call, const std::vector<RowId>& ids) {
  return store_.Get(call, ids);
}

absl::StatusOr<std::vector<User>> Users::List(const Call& call, const std::string& username, RowId after,
                                              int64_t limit) {
  return store_.List(call, username, after, limit);
}

absl::Status Users::Update(const Call& call, const UserChange& change, const idempotency::Record<User>& record) {
  CROSSKEY_RETURN_IF_ERROR(call.MayWriteFor(change.id));
  const auto body = [&](events::Tx& tx) { return Change(tx, change, record); };
  if (!change.changes_pin || !change.pinned_post.has_value()) return store_.Transact(call, "user.update", body);
  // Only the new post is locked. The post that was pinned before needs no lock: the user leaves it, whether it still
  // exists or not.
  const absl::Status status = posts_.Write(call, kUserPin, {*change.pinned_post}, body);
  // The post is missing, but the user may be missing as well. Then the answer is NOT_FOUND, because a user that does
  // not exist refers to nothing.
  if (errors::Is(status, errors::Reason::kForeignKeyViolation)) {
    CROSSKEY_RETURN_IF_ERROR(Get(call, change.id).status());
  }
  return status;
}

absl::Status Users::Change(events::Tx& tx, const UserChange& change, const idempotency::Record<User>& record) {
  UserTx users = store_.In(tx);
  CROSSKEY_ASSIGN_OR_RETURN(std::optional<User> user, users.Lock(change.id));
  if (!user.has_value()) return errors::NotFound(kUserType, change.id);
  if (change.version.has_value() && *change.version != user->version) return errors::EtagMismatch(kUserType, user->id);
  if (user->state == relation::ParentState::kDeleting) return errors::ParentDeleting(kUserType, user->id);
  std::vector<std::string> paths;
  if (change.username.has_value() && *change.username != user->username) {
    user->username = *change.username;
    paths.emplace_back("username");
  }
  const bool pin_changes = change.changes_pin && change.pinned_post != user->pinned_post;
  if (pin_changes) {
    user->pinned_post = change.pinned_post;
    paths.emplace_back("pinned_post_id");
  }
  if (!paths.empty()) {
    ++user->version;
    user->update_time = absl::ToUnixMicros(absl::Now());
    CROSSKEY_RETURN_IF_ERROR(users.Update(*user, pin_changes));
    tx.Append(UserUpdated(user->id, user->uid, paths));
  }
  return record(tx.db(), *user);
}

}  // namespace crosskey::users
