// The posts' table.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/events/outbox.h"
#include "post-service/domain/like.h"
#include "post-service/domain/post.h"
#include "post-service/storage/scan.h"

namespace crosskey::posts {

// Changes within one transaction that holds the references to the users of all posts it touches (relation::Guard).
class PostTx {
 public:
  explicit PostTx(events::Tx& tx) : tx_(tx) {}

  // Fills in the ids. At most 1,000.
  absl::Status Insert(std::vector<Post>& posts);
  // The post, locked against every change until the end of the transaction; none if it is hidden.
  absl::StatusOr<std::optional<Post>> Lock(int64_t id);
  // Stores everything except id, uid, like_count and create_time.
  absl::Status Update(const Post& post);
  absl::Status Hide(int64_t id);
  // Of a post that is locked. The counter is changed first: two users that like one post wait there for each other.
  absl::StatusOr<bool> HasLike(int64_t post_id, int64_t user_id);
  absl::Status AddLike(const Like& like);
  absl::Status RemoveLike(int64_t post_id, int64_t user_id);
  void Append(events::Draft event) { tx_.Append(std::move(event)); }

 private:
  events::Tx& tx_;
};

struct PostQuery {
  int64_t user_id = 0;  // 0: the posts of all users
  PageStart start;
};

// Reads see no post that is deleted, or whose user is. Thread-safe.
class PostStore {
 public:
  explicit PostStore(db::Database& database) : database_(database) {}

  // Those that exist, by ascending id; at most 1,000 ids.
  absl::StatusOr<std::vector<Post>> Get(const Call& call, const std::vector<int64_t>& ids);
  // By id; see Scan. The posts are all or none of each user's, as of one instant.
  absl::StatusOr<Page<Post>> List(const Call& call, const PostQuery& query);
  // The posts that a user likes, by ascending id.
  absl::StatusOr<Page<Post>> ListLiked(const Call& call, int64_t user_id, int64_t after, int64_t limit);

 private:
  db::Database& database_;
};

}  // namespace crosskey::posts
