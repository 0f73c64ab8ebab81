// All SQL of user-service that is not the relationship's own.
#pragma once

#include "common/db/sql.h"

namespace crosskey::users::sql {

#define CROSSKEY_USER_COLUMNS "id, uid, username, state, version, create_time, update_time"

inline const db::Sql kInsert{
    "users.insert",
    "INSERT INTO users (uid, username, state, version, create_time, update_time) VALUES (?, ?, ?, ?, ?, ?)"};
inline const db::Sql kGet{"users.get", "SELECT " CROSSKEY_USER_COLUMNS " FROM users WHERE id IN (?) ORDER BY id"};
inline const db::Sql kLock{"users.get_locked", "SELECT " CROSSKEY_USER_COLUMNS " FROM users WHERE id = ? {update}"};
inline const db::Sql kList{"users.list",
                           "SELECT " CROSSKEY_USER_COLUMNS " FROM users WHERE id > ? ORDER BY id LIMIT ?"};
inline const db::Sql kListByName{"users.list_by_name", "SELECT " CROSSKEY_USER_COLUMNS
                                                       " FROM users WHERE username = ? AND id > ? ORDER BY id LIMIT ?"};
inline const db::Sql kUpdate{"users.update",
                             "UPDATE users SET username = ?, version = ?, update_time = ? WHERE id = ?"};

#undef CROSSKEY_USER_COLUMNS

}  // namespace crosskey::users::sql
