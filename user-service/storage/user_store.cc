#include "user-service/storage/user_store.h"

#include <map>

#include "common/db/sql_error.h"
#include "common/status/errors.h"
#include "user-service/domain/errors.h"

namespace crosskey::users {
namespace {

template <typename... Arguments>
absl::StatusOr<std::vector<User>> Select(db::Connection& connection, const db::Sql& sql,
                                         const Arguments&... arguments) {
  CROSSKEY_ASSIGN_OR_RETURN(
      auto rows, (connection.Query<RowId, std::string, std::string, std::optional<RowId>, relation::ParentState,
                                   int64_t, int64_t, int64_t>(sql, arguments...)));
  std::vector<User> users;
  users.reserve(rows.size());
  for (auto& [id, uid, username, pinned_post, state, version, create_time, update_time] : rows) {
    users.push_back({id, std::move(uid), std::move(username), pinned_post, state, version, create_time, update_time});
  }
  return users;
}

absl::Status NameTheDuplicate(const absl::Status& status, const User& user) {
  if (db::SqlErrorOf(status) != db::SqlError::kDuplicate) return status;
  return errors::Taken(kUserType, "username", user.username);
}

}  // namespace

absl::Status UserTx::Insert(User& user) {
  const absl::StatusOr<int64_t> id = tx_.db().Insert(sql::kInsert, user.uid, user.username, user.state, user.version,
                                                     user.create_time, user.update_time);
  if (!id.ok()) return NameTheDuplicate(id.status(), user);
  user.id = RowId{*id};
  return absl::OkStatus();
}

absl::StatusOr<std::set<std::string>> UserTx::Taken(const std::vector<std::string>& names) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, tx_.db().Query<std::string>(sql::kTaken, names));
  std::set<std::string> taken;
  for (const auto& [name] : rows) taken.insert(name);
  return taken;
}

absl::Status UserTx::InsertAll(std::vector<User>& users) {
  if (users.size() == 1) return Insert(users.front());
  std::vector<std::vector<db::Argument>> rows;
  for (const User& user : users) {
    rows.push_back({user.uid, user.username, user.state, user.version, user.create_time, user.update_time});
  }
  CROSSKEY_ASSIGN_OR_RETURN(auto ids, (tx_.db().InsertRows<RowId, std::string>(sql::kInsertAll, rows)));
  if (ids.size() != users.size()) {
    std::vector<std::string> uids;
    for (const User& user : users) uids.push_back(user.uid);
    CROSSKEY_ASSIGN_OR_RETURN(ids, (tx_.db().Query<RowId, std::string>(sql::kIdsByUid, uids)));
  }
  std::map<std::string, RowId> by_uid;
  for (const auto& [id, uid] : ids) by_uid[uid] = id;
  for (User& user : users) user.id = by_uid[user.uid];
  return absl::OkStatus();
}

absl::StatusOr<std::optional<User>> UserTx::Lock(RowId id) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto locked, tx_.db().QueryOne<RowId>(sql::kLockRow, id));
  if (!locked.has_value()) return std::nullopt;
  // Nobody else can change the user from here on, so it is read without a lock. The statement also reads the reference
  // row of the pin, which must not be locked after the user (the order of locks is in common/relation/README.md).
  CROSSKEY_ASSIGN_OR_RETURN(auto users, Select(tx_.db(), sql_.get, id));
  if (users.empty()) return std::nullopt;
  return std::move(users.front());
}

absl::Status UserTx::Update(const User& user, bool with_pin) {
  if (!with_pin) {
    return NameTheDuplicate(
        tx_.db().Execute(sql::kUpdate, user.username, user.version, user.update_time, user.id).status(), user);
  }
  const absl::Status status =
      tx_.db()
          .Execute(sql::kUpdateWithPin, user.username, user.version, user.update_time, user.pinned_post, user.id)
          .status();
  if (db::SqlErrorOf(status) != db::SqlError::kDuplicate) return status;
  CROSSKEY_ASSIGN_OR_RETURN(const auto named, tx_.db().QueryOne<RowId>(sql::kNamed, user.username, user.id));
  if (named.has_value() || !user.pinned_post.has_value()) return NameTheDuplicate(status, user);
  return AlreadyPinned(*user.pinned_post);
}

absl::StatusOr<std::vector<User>> UserStore::Get(const Call& call, const std::vector<RowId>& ids) {
  return outbox_.database().Read(call, [&](db::Connection& connection) { return Select(connection, sql_.get, ids); });
}

absl::StatusOr<std::vector<User>> UserStore::List(const Call& call, const std::string& username, RowId after,
                                                  int64_t limit) {
  return outbox_.database().Read(call, [&](db::Connection& connection) {
    return username.empty() ? Select(connection, sql_.list, after, limit)
                            : Select(connection, sql_.list_by_name, username, after, limit);
  });
}

}  // namespace crosskey::users
