// All SQL of user-service that is not the relationship's own.
#pragma once

#include "common/db/sql.h"

namespace crosskey::users::sql {

// A pin is seen while the reference to its post is ACTIVE. No join: the order of the users must not depend on what the
// optimizer makes of one.
#define CROSSKEY_USERS                                                                                             \
  "SELECT u.id, u.uid, u.username, (SELECT r.id FROM post_refs r WHERE r.id = u.pinned_post_id AND r.state = 1), " \
  "u.state, u.version, u.create_time, u.update_time FROM users u "

inline const db::Sql kInsert{
    "users.insert",
    "INSERT INTO users (uid, username, state, version, create_time, update_time) VALUES (?, ?, ?, ?, ?, ?)"};
inline const db::Sql kGet{"users.get", CROSSKEY_USERS "WHERE u.id IN (?) ORDER BY u.id"};
inline const db::Sql kLockRow{"users.lock_row", "SELECT id FROM users WHERE id = ? {update}"};
inline const db::Sql kList{"users.list", CROSSKEY_USERS "WHERE u.id > ? ORDER BY u.id LIMIT ?"};
inline const db::Sql kListByName{"users.list_by_name",
                                 CROSSKEY_USERS "WHERE u.username = ? AND u.id > ? ORDER BY u.id LIMIT ?"};
inline const db::Sql kUpdate{"users.update",
                             "UPDATE users SET username = ?, version = ?, update_time = ? WHERE id = ?"};
inline const db::Sql kUpdateWithPin{
    "users.update_with_pin",
    "UPDATE users SET username = ?, version = ?, update_time = ?, pinned_post_id = ? WHERE id = ?"};
// Which of the unique keys was it?
inline const db::Sql kNamed{"users.named", "SELECT id FROM users WHERE username = ? AND id <> ?"};

#undef CROSSKEY_USERS

}  // namespace crosskey::users::sql
