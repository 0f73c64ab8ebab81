// All SQL of user-service, except the statements that common/relation builds for the relationships.
#pragma once

#include "common/db/sql.h"
#include "common/relation/visibility.h"

namespace crosskey::users {

// The statements that read users. They leave out a pin whose post is deleted. The pin is read by a subquery and not by
// a join, because with a join the optimizer could decide to read the users in another order.
struct UsersSql {
  explicit UsersSql(const relation::Visibility& visibility)
      : get(visibility.Expand(Select("users.get", "WHERE u.id IN (?) ORDER BY u.id"))),
        list(visibility.Expand(Select("users.list", "WHERE u.id > ? ORDER BY u.id LIMIT ?"))),
        list_by_name(visibility.Expand(
            Select("users.list_by_name", "WHERE u.username = ? AND u.id > ? ORDER BY u.id LIMIT ?"))) {}

  const db::Sql get;           // (ids)
  const db::Sql list;          // (after id, limit)
  const db::Sql list_by_name;  // (username, after id, limit)

 private:
  static db::Sql Select(const char* name, const char* where) {
    return {name, std::string("SELECT u.id, u.uid, u.username, {visible users.pinned_post_id u}, u.state, u.version, "
                              "u.create_time, u.update_time FROM users u ") +
                      where};
  }
};

namespace sql {

#define CROSSKEY_INSERT \
  "INSERT INTO users (uid, username, state, version, create_time, update_time) VALUES (?, ?, ?, ?, ?, ?)"

inline const db::Sql kInsert{"users.insert", CROSSKEY_INSERT};
inline const db::Sql kInsertAll{"users.insert_all", CROSSKEY_INSERT " {returning id, uid}"};

#undef CROSSKEY_INSERT

inline const db::Sql kTaken{"users.taken", "SELECT username FROM users WHERE username IN (?)"};
// Finds the ids that a multi-row insert gave, if the server does not return them, because not every server gives
// consecutive ones.
inline const db::Sql kIdsByUid{"users.ids_by_uid", "SELECT id, uid FROM users WHERE uid IN (?)"};
inline const db::Sql kLockRow{"users.lock_row", "SELECT id FROM users WHERE id = ? {update}"};
inline const db::Sql kUpdate{"users.update",
                             "UPDATE users SET username = ?, version = ?, update_time = ? WHERE id = ?"};
inline const db::Sql kUpdateWithPin{
    "users.update_with_pin",
    "UPDATE users SET username = ?, version = ?, update_time = ?, pinned_post_id = ? WHERE id = ?"};
// After a duplicate: finds out which unique key it was. A row means that another user has the name.
inline const db::Sql kNamed{"users.named", "SELECT id FROM users WHERE username = ? AND id <> ?"};

}  // namespace sql

}  // namespace crosskey::users
