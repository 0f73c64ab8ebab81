// The SQL of likes, except the statements that common/relation builds for the relationships.
#pragma once

#include "common/db/sql.h"
#include "common/relation/visibility.h"

namespace crosskey::posts::sql {

// These run in a transaction that has locked the post.
inline const db::Sql kHasLike{"likes.has", "SELECT id FROM likes WHERE post_id = ? AND user_id = ?"};
// All likes of these users of these posts, so also others than those that are asked for.
inline const db::Sql kHasLikes{"likes.any",
                               "SELECT post_id, user_id FROM likes WHERE post_id IN (?) AND user_id IN (?)"};
inline const db::Sql kInsertLike{"likes.insert", "INSERT INTO likes (post_id, user_id, create_time) VALUES (?, ?, ?)"};
inline const db::Sql kRemoveLike{"likes.remove", "DELETE FROM likes WHERE post_id = ? AND user_id = ?"};

// The left joins make the database begin with `likes`, so that LIMIT bounds the rows that are examined.
inline const db::Sql kScanLikesOfPost{
    "likes.scan_post",
    "SELECT k.user_id, 0, u.state = 1 FROM likes k LEFT JOIN user_refs u {by_id} ON u.id = k.user_id "
    "WHERE k.post_id = ? AND k.user_id > ? ORDER BY k.user_id LIMIT ?"};
inline const db::Sql kScanLikesOfUser{
    "likes.scan_user",
    "SELECT k.post_id, p.content_bytes, p.state = 1 AND r.state = 1 FROM likes k "
    "LEFT JOIN posts p {by_id} ON p.id = k.post_id LEFT JOIN user_refs r {by_id} ON r.id = p.user_id "
    "WHERE k.user_id = ? AND k.post_id > ? ORDER BY k.post_id LIMIT ?"};

// A condition on `likes`: the post of the like and the author of the post are visible. It compares the value of a
// subquery and does not use EXISTS, because a server may make a join of EXISTS that begins with all users.
inline constexpr char kPostOfLikeIsVisible[] =
    "(SELECT r.state FROM posts p JOIN user_refs r {by_id} ON r.id = p.user_id "
    "WHERE p.id = likes.post_id AND p.state = 1) = 1";

// The posts of likes that are all of one user. A user likes each post at most once, so as many posts lose one like as
// likes are removed.
inline const db::Sql kPostsOfLikes{"likes.posts", "SELECT post_id FROM likes WHERE id IN (?) ORDER BY post_id"};
// Changes the counter of a post.
inline const db::Sql kCountLike{"posts.count_like", "UPDATE posts SET like_count = like_count + ? WHERE id = ?"};
inline const db::Sql kCountLikes{"posts.count_likes", "UPDATE posts SET like_count = like_count + ? WHERE id IN (?)"};
inline const db::Sql kUncountLikes{"posts.uncount_likes",
                                   "UPDATE posts SET like_count = like_count - 1 WHERE id IN (?)"};

}  // namespace crosskey::posts::sql

namespace crosskey::posts {

// The statements that read likes. A like is visible while its user, its post and the author of the post are. Each
// statement joins all three, so that likes vanish at the same instant as any of them.
struct LikesSql {
  explicit LikesSql(const relation::Visibility& visibility)
      : visible(visibility.Expand(
            {"likes.visible", "SELECT k.id FROM {visible likes k} WHERE k.post_id = ? AND k.user_id = ?"})),
        of_post(visibility.Expand({"likes.of_post",
                                   "SELECT k.user_id, k.create_time FROM {visible likes k} "
                                   "WHERE k.post_id = ? AND k.user_id IN (?) ORDER BY k.user_id"})) {}

  const db::Sql visible;  // (post id, user id) -> id
  const db::Sql of_post;  // (post id, user ids)
};

}  // namespace crosskey::posts
