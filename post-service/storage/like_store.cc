#include "post-service/storage/like_store.h"

#include <map>
#include <set>
#include <tuple>

namespace crosskey::posts {

absl::StatusOr<bool> LikeTx::Has(const Like& like) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row, tx_.db().QueryOne<RowId>(sql::kHasLike, like.post_id, like.user_id));
  return row.has_value();
}

absl::Status LikeTx::Add(const Like& like) {
  CROSSKEY_RETURN_IF_ERROR(tx_.db().Execute(sql::kCountLike, 1, like.post_id).status());
  return tx_.db().Execute(sql::kInsertLike, like.post_id, like.user_id, like.create_time).status();
}

absl::Status LikeTx::AddMissing(const std::vector<Like>& likes) {
  std::vector<RowId> posts, users;
  for (const Like& like : likes) {
    posts.push_back(like.post_id);
    users.push_back(like.user_id);
  }
  std::set<std::tuple<RowId, RowId>> there;
  CROSSKEY_ASSIGN_OR_RETURN(const auto found, (tx_.db().Query<RowId, RowId>(sql::kHasLikes, posts, users)));
  there.insert(found.begin(), found.end());
  std::map<RowId, int64_t> added;
  std::vector<std::vector<db::Argument>> rows;
  for (const Like& like : likes) {
    if (!there.insert({like.post_id, like.user_id}).second) continue;
    ++added[like.post_id];
    rows.push_back({like.post_id, like.user_id, like.create_time});
  }
  if (rows.empty()) return absl::OkStatus();
  // One statement for all posts that get the same number of likes.
  std::map<int64_t, std::vector<RowId>> by_number;
  for (const auto& [post, number] : added) by_number[number].push_back(post);
  for (const auto& [number, some] : by_number) {
    CROSSKEY_RETURN_IF_ERROR(tx_.db().Execute(sql::kCountLikes, number, some).status());
  }
  return tx_.db().ExecuteRows(sql::kInsertLike, rows).status();
}

absl::Status LikeTx::Remove(const Like& like) {
  CROSSKEY_RETURN_IF_ERROR(tx_.db().Execute(sql::kCountLike, -1, like.post_id).status());
  return tx_.db().Execute(sql::kRemoveLike, like.post_id, like.user_id).status();
}

absl::StatusOr<bool> LikeStore::Has(const Call& call, const Like& like) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row, database_.Read(call, [&](db::Connection& connection) {
    return connection.QueryOne<RowId>(sql_.visible, like.post_id, like.user_id);
  }));
  return row.has_value();
}

absl::StatusOr<Page<Like>> LikeStore::OfPost(const Call& call, RowId post_id, int64_t after, int64_t limit) {
  return database_.Read(call, [&](db::Connection& connection) -> absl::StatusOr<Page<Like>> {
    Scan scan({after, limit}, [&](int64_t user_id, int64_t rows) {
      return connection.Query<int64_t, int64_t, int64_t>(sql::kScanLikesOfPost, post_id, user_id, rows);
    });
    CROSSKEY_RETURN_IF_ERROR(scan.Run());
    Page<Like> page{{}, scan.next()};
    if (scan.keys().empty()) return page;
    CROSSKEY_ASSIGN_OR_RETURN(const auto rows, (connection.Query<RowId, int64_t>(sql_.of_post, post_id, scan.keys())));
    for (const auto& [user_id, create_time] : rows) page.rows.push_back({post_id, user_id, create_time});
    return page;
  });
}

absl::Status Uncount(db::Tx& tx, const std::vector<RowId>& like_ids) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, tx.Query<RowId>(sql::kPostsOfLikes, like_ids));
  std::vector<RowId> posts;
  for (const auto& [post_id] : rows) posts.push_back(post_id);
  return posts.empty() ? absl::OkStatus() : tx.Execute(sql::kUncountLikes, posts).status();
}

}  // namespace crosskey::posts
