// All SQL of post-service that is not the relationship's own. Every read joins the reference row and sees ACTIVE ones
// only (state = 1): that is what makes a cascade visible to all readers at one instant.
#pragma once

#include "common/db/sql.h"

namespace crosskey::posts::sql {

#define CROSSKEY_POST_COLUMNS "p.id, p.uid, p.user_id, p.title, p.content, p.version, p.create_time, p.update_time"
#define CROSSKEY_SCAN "SELECT p.id, p.content_bytes, r.state FROM posts p LEFT JOIN user_refs r ON r.id = p.user_id "

inline const db::Sql kInsert{
    "posts.insert",
    "INSERT INTO posts (uid, user_id, title, content, content_bytes, version, create_time, update_time) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"};
// The ids that a multi-row insert gave: not every server gives consecutive ones.
inline const db::Sql kIdsByUid{"posts.ids_by_uid", "SELECT id, uid FROM posts WHERE uid IN (?)"};
inline const db::Sql kGet{"posts.get", "SELECT " CROSSKEY_POST_COLUMNS
                                       " FROM posts p JOIN user_refs r ON r.id = p.user_id AND r.state = 1 "
                                       "WHERE p.id IN (?) ORDER BY p.id"};
// After the reference is locked.
inline const db::Sql kLock{"posts.get_locked", "SELECT " CROSSKEY_POST_COLUMNS " FROM posts p WHERE p.id = ? {update}"};
inline const db::Sql kUpdate{"posts.update",
                             "UPDATE posts SET user_id = ?, title = ?, content = ?, content_bytes = ?, version = ?, "
                             "update_time = ? WHERE id = ?"};
inline const db::Sql kRemove{"posts.remove", "DELETE FROM posts WHERE id = ?"};

// Scans say what a page can hold, hidden rows included: an outer join, so that the posts come first and LIMIT bounds
// the rows that are examined, however many of them are hidden.
inline const db::Sql kScan{"posts.scan", CROSSKEY_SCAN "WHERE p.id > ? ORDER BY p.id LIMIT ?"};
inline const db::Sql kScanBack{"posts.scan_back", CROSSKEY_SCAN "WHERE p.id < ? ORDER BY p.id DESC LIMIT ?"};
inline const db::Sql kScanUser{"posts.scan_user",
                               CROSSKEY_SCAN "WHERE p.user_id = ? AND p.id > ? ORDER BY p.id LIMIT ?"};
inline const db::Sql kScanUserBack{"posts.scan_user_back",
                                   CROSSKEY_SCAN "WHERE p.user_id = ? AND p.id < ? ORDER BY p.id DESC LIMIT ?"};

#undef CROSSKEY_SCAN
#undef CROSSKEY_POST_COLUMNS

}  // namespace crosskey::posts::sql
