#include "user-service/storage/user_store.h"

#include "common/db/sql_error.h"
#include "common/status/errors.h"
#include "user-service/storage/users_sql.h"

namespace crosskey::users {
namespace {

template <typename... Arguments>
absl::StatusOr<std::vector<User>> Select(db::Connection& connection, const db::Sql& sql,
                                         const Arguments&... arguments) {
  CROSSKEY_ASSIGN_OR_RETURN(
      auto rows,
      (connection.Query<int64_t, std::string, std::string, std::optional<int64_t>, int64_t, int64_t, int64_t, int64_t>(
          sql, arguments...)));
  std::vector<User> users;
  users.reserve(rows.size());
  for (auto& [id, uid, username, pinned_post, state, version, create_time, update_time] : rows) {
    users.push_back({id, std::move(uid), std::move(username), pinned_post, static_cast<relation::ParentState>(state),
                     version, create_time, update_time});
  }
  return users;
}

absl::Status NameTheDuplicate(const absl::Status& status, const User& user) {
  if (db::SqlErrorOf(status) != db::SqlError::kDuplicate) return status;
  return errors::Taken(kUserType, "username", user.username);
}

}  // namespace

absl::Status UserTx::Insert(User& user) {
  const absl::StatusOr<int64_t> id =
      tx_.db().Insert(sql::kInsert, user.uid, user.username, static_cast<int64_t>(user.state), user.version,
                      user.create_time, user.update_time);
  if (!id.ok()) return NameTheDuplicate(id.status(), user);
  user.id = *id;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<User>> UserTx::Lock(int64_t id) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto locked, tx_.db().QueryOne<int64_t>(sql::kLockRow, id));
  if (!locked.has_value()) return std::nullopt;
  // Nobody else can change it from here on. The reference row of the pin must not be locked after the user.
  CROSSKEY_ASSIGN_OR_RETURN(auto users, Select(tx_.db(), sql::kGet, id));
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
  CROSSKEY_ASSIGN_OR_RETURN(const auto named, tx_.db().QueryOne<int64_t>(sql::kNamed, user.username, user.id));
  if (named.has_value() || !user.pinned_post.has_value()) return NameTheDuplicate(status, user);
  return errors::AlreadyPinned(kUserPin, kPostType, *user.pinned_post);
}

absl::Status UserStore::Transact(const Call& call, const char* name, const std::function<absl::Status(UserTx&)>& body) {
  return outbox_.Transact(call, name, [&](events::Tx& tx) {
    UserTx user_tx(tx);
    return body(user_tx);
  });
}

absl::StatusOr<std::vector<User>> UserStore::Get(const Call& call, const std::vector<int64_t>& ids) {
  std::vector<User> users;
  CROSSKEY_RETURN_IF_ERROR(outbox_.database().Read(call, [&](db::Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(users, Select(connection, sql::kGet, ids));
    return absl::OkStatus();
  }));
  return users;
}

absl::StatusOr<std::vector<User>> UserStore::List(const Call& call, const std::string& username, int64_t after,
                                                  int64_t limit) {
  std::vector<User> users;
  CROSSKEY_RETURN_IF_ERROR(outbox_.database().Read(call, [&](db::Connection& connection) -> absl::Status {
    if (username.empty()) {
      CROSSKEY_ASSIGN_OR_RETURN(users, Select(connection, sql::kList, after, limit));
    } else {
      CROSSKEY_ASSIGN_OR_RETURN(users, Select(connection, sql::kListByName, username, after, limit));
    }
    return absl::OkStatus();
  }));
  return users;
}

}  // namespace crosskey::users
