// The SQL of posts, except the statements that common/relation builds for the relationships.
#pragma once

#include <string>

#include "common/db/sql.h"
#include "common/relation/visibility.h"

namespace crosskey::posts::sql {

// The number of visible likes, exactly: the stored counter less the likes of deleted users that are not removed yet.
// Those likes are found by the shorter of two ways: one look into an index for each like of the post, or one for each
// deleted user that is not reclaimed yet. So there are few looks, however many likes the post has, or however many
// users have been deleted. For at most 10 likes nobody is counted, otherwise at most 1,001 users are. In a subquery
// MySQL 8.0.15 knows the post in WHERE, and not in ON.
#define CROSSKEY_LIKE_COUNT                                                                           \
  "CASE WHEN p.like_count = 0 THEN 0 WHEN p.like_count <= 10 OR p.like_count <= "                     \
  "(SELECT COUNT(*) FROM (SELECT g.id FROM user_refs g WHERE g.state > 1 LIMIT 1001) AS deleted) "    \
  "THEN p.like_count - (SELECT COUNT(*) FROM likes k {then} user_refs g {by_id} ON g.id = k.user_id " \
  "AND g.state > 1 WHERE k.post_id = p.id) ELSE p.like_count - "                                      \
  "(SELECT COUNT(*) FROM user_refs g {then} likes k ON k.user_id = g.id WHERE k.post_id = p.id AND g.state > 1) END"
#define CROSSKEY_POST_COLUMNS(like_count) \
  "p.id, p.uid, p.user_id, p.title, p.content, " like_count ", p.version, p.create_time, p.update_time"
// Whether the post has likes and there are deleted users that are not reclaimed yet. Otherwise the stored counter is
// exact. For a post without likes nothing is looked up: after many deletions the index may have many dead entries.
#define CROSSKEY_UNRECLAIMED \
  ", CASE WHEN p.like_count > 0 THEN EXISTS (SELECT 1 FROM user_refs g WHERE g.state > 1) ELSE 0 END"
#define CROSSKEY_SCAN                                          \
  "SELECT p.id, p.content_bytes, p.state = 1 AND r.state = 1 " \
  "FROM posts p LEFT JOIN user_refs r {by_id} ON r.id = p.user_id "
#define CROSSKEY_PAGE(by)                                              \
  "SELECT " CROSSKEY_POST_COLUMNS("p.like_count") CROSSKEY_UNRECLAIMED \
      ", p.content_bytes, p.state = 1 AND r.state = 1 "                \
      "FROM posts p " by "LEFT JOIN user_refs r {by_id} ON r.id = p.user_id "

#define CROSSKEY_INSERT                                                                                 \
  "INSERT INTO posts (uid, user_id, title, content, content_bytes, version, create_time, update_time) " \
  "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

inline const db::Sql kInsert{"posts.insert", CROSSKEY_INSERT};
inline const db::Sql kInsertAll{"posts.insert_all", CROSSKEY_INSERT " {returning id, uid}"};
// Finds the ids that a multi-row insert gave, if the server does not return them, because not every server gives
// consecutive ones.
inline const db::Sql kIdsByUid{"posts.ids_by_uid", "SELECT id, uid FROM posts WHERE uid IN (?)"};
// Runs after the references to the users are locked: that is the order of locks (common/relation/README.md).
inline const db::Sql kLock{"posts.lock", "SELECT id FROM posts WHERE id = ? {update}"};
inline const db::Sql kLockFree{
    "posts.lock_free", "SELECT id, user_id FROM posts {by_id} WHERE id IN (?) AND state = 1 ORDER BY id {update_free}"};
inline const db::Sql kAuthors{"posts.authors", "SELECT id, user_id FROM posts {by_id} WHERE id IN (?) AND state = 1"};
inline const db::Sql kUpdate{"posts.update",
                             "UPDATE posts SET user_id = ?, title = ?, content = ?, content_bytes = ?, version = ?, "
                             "update_time = ? WHERE id = ?"};

// The scans find out what a page can hold, see scan.h. Their rows include hidden ones. They join outer, so that the
// database begins with the posts and LIMIT bounds the rows that are examined, however many of them are hidden.
inline const db::Sql kScan{"posts.scan", CROSSKEY_SCAN "WHERE p.id > ? ORDER BY p.id LIMIT ?"};
inline const db::Sql kScanBack{"posts.scan_back", CROSSKEY_SCAN "WHERE p.id < ? ORDER BY p.id DESC LIMIT ?"};
inline const db::Sql kScanUser{"posts.scan_user",
                               CROSSKEY_SCAN "WHERE p.user_id = ? AND p.state = 1 AND p.id > ? ORDER BY p.id LIMIT ?"};
inline const db::Sql kScanUserBack{"posts.scan_user_back", CROSSKEY_SCAN
                                   "WHERE p.user_id = ? AND p.state = 1 AND p.id < ? ORDER BY p.id DESC LIMIT ?"};

// The same as the scans with all columns of the posts, for pages of few posts: usually one statement is enough then.
inline const db::Sql kPage{"posts.page", CROSSKEY_PAGE("") "WHERE p.id > ? ORDER BY p.id LIMIT ?"};
inline const db::Sql kPageBack{"posts.page_back", CROSSKEY_PAGE("") "WHERE p.id < ? ORDER BY p.id DESC LIMIT ?"};
inline const db::Sql kPageUser{
    "posts.page_user",
    CROSSKEY_PAGE("{by posts_by_user} ") "WHERE p.user_id = ? AND p.state = 1 AND p.id > ? ORDER BY p.id LIMIT ?"};
inline const db::Sql kPageUserBack{
    "posts.page_user_back",
    CROSSKEY_PAGE("{by posts_by_user} ") "WHERE p.user_id = ? AND p.state = 1 AND p.id < ? ORDER BY p.id DESC LIMIT ?"};

}  // namespace crosskey::posts::sql

namespace crosskey::posts {

// Posts with their number of likes are read by the first statement, which costs a fraction of the second one. Its last
// column says whether the stored counters may count likes of deleted users. If so, the second statement reads all of it
// again, as of a later instant.
struct PostsReading {
  db::Sql stored;
  db::Sql exact;
};

// The statements that read posts, visible ones only. A cascade changes one row, the reference row of the user, and each
// of these statements joins that row. So all readers see a cascade at the same instant.
// `get_liked` reads the few posts first, because the user may have any number of likes.
struct PostsSql {
  explicit PostsSql(const relation::Visibility& visibility)
      : get(Reading(visibility, "posts.get", "posts.get_exact",
                    " FROM {visible posts p by_id} WHERE p.id IN (?) ORDER BY p.id")),
        get_liked(Reading(visibility, "posts.get_liked", "posts.get_liked_exact",
                          " FROM {visible posts p by_id} {then} likes m ON m.post_id = p.id AND m.user_id = ? "
                          "JOIN user_refs u {by_id} ON u.id = m.user_id AND u.state = 1 "
                          "WHERE p.id IN (?) ORDER BY p.id")),
        lookup(visibility.Expand(
            {"posts.lookup",
             "SELECT p.id, p.uid, p.state FROM {visible posts p by_id} WHERE p.id IN (?) ORDER BY p.id"})),
        examine{"posts.examine",
                "SELECT p.id, p.uid, CASE u.state WHEN 1 THEN 1 ELSE 2 END FROM posts p {then} user_refs u ON u.id = "
                "p.user_id WHERE p.id IN (?) AND p.state = 1 ORDER BY p.id"} {}

  const PostsReading get;        // (ids)
  const PostsReading get_liked;  // (user id, ids): the posts that the user likes
  const db::Sql lookup;          // (ids) -> id, uid, state: for the service that pins posts
  // (ids) -> id, uid, state: the same with the posts of released users, as being deleted. Their deletion is published
  // when they are removed.
  const db::Sql examine;

 private:
  static PostsReading Reading(const relation::Visibility& visibility, const std::string& stored,
                              const std::string& exact, const std::string& from) {
    return {visibility.Expand({stored, "SELECT " CROSSKEY_POST_COLUMNS("p.like_count") CROSSKEY_UNRECLAIMED + from}),
            visibility.Expand({exact, "SELECT " CROSSKEY_POST_COLUMNS(CROSSKEY_LIKE_COUNT) + from})};
  }
};

#undef CROSSKEY_INSERT
#undef CROSSKEY_PAGE
#undef CROSSKEY_SCAN
#undef CROSSKEY_UNRECLAIMED
#undef CROSSKEY_POST_COLUMNS
#undef CROSSKEY_LIKE_COUNT

}  // namespace crosskey::posts
