#include "post-service/storage/like_store.h"

#include "post-service/storage/likes_sql.h"

namespace crosskey::posts {

absl::StatusOr<bool> LikeStore::Has(const Call& call, int64_t post_id, int64_t user_id) {
  bool found = false;
  CROSSKEY_RETURN_IF_ERROR(database_.Read(call, [&](db::Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const auto row, connection.QueryOne<int64_t>(sql::kVisibleLike, post_id, user_id));
    found = row.has_value();
    return absl::OkStatus();
  }));
  return found;
}

absl::StatusOr<Page<Like>> LikeStore::OfPost(const Call& call, int64_t post_id, int64_t after, int64_t limit) {
  Page<Like> page;
  CROSSKEY_RETURN_IF_ERROR(database_.Read(call, [&](db::Connection& connection) -> absl::Status {
    Scan scan({after, limit}, [&](int64_t user_id, int64_t rows) {
      return connection.Query<int64_t, int64_t, int64_t>(sql::kScanLikesOfPost, post_id, user_id, rows);
    });
    CROSSKEY_RETURN_IF_ERROR(scan.Run());
    page = {{}, scan.next()};
    if (scan.keys().empty()) return absl::OkStatus();
    CROSSKEY_ASSIGN_OR_RETURN(const auto rows,
                              (connection.Query<int64_t, int64_t>(sql::kLikesOfPost, post_id, scan.keys())));
    for (const auto& [user_id, create_time] : rows) page.rows.push_back({post_id, user_id, create_time});
    return absl::OkStatus();
  }));
  return page;
}

absl::Status Uncount(db::Tx& tx, const std::vector<int64_t>& like_ids) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, tx.Query<int64_t>(sql::kPostsOfLikes, like_ids));
  std::vector<int64_t> posts;
  for (const auto& [post_id] : rows) posts.push_back(post_id);
  return posts.empty() ? absl::OkStatus() : tx.Execute(sql::kUncountLikes, posts).status();
}

}  // namespace crosskey::posts
