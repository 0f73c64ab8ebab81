// The posts' table.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/events/outbox.h"
#include "post-service/domain/post.h"
#include "post-service/storage/posts_sql.h"
#include "post-service/storage/scan.h"

namespace crosskey::posts {

// Changes posts within one transaction. The transaction holds the references to the users of all posts that it touches
// (relation::Guard).
class PostTx {
 public:
  PostTx(events::Tx& tx, const PostsSql& sql) : tx_(tx), sql_(sql) {}

  // Fills in the ids. At most 1,000.
  absl::Status Insert(std::vector<Post>& posts);
  // Returns the post, locked against every change until the end of the transaction; nullopt if there is none or it is
  // hidden.
  absl::StatusOr<std::optional<Post>> Lock(RowId id);
  // Locks those of the posts, at most 1,000, that exist, are not hidden themselves and are not locked by others, as
  // Lock does. Returns their users, whose references the caller has to have held before.
  absl::StatusOr<std::map<RowId, RowId>> LockFree(const std::vector<RowId>& ids);
  // Those of the posts that exist and are visible. The caller has locked them.
  absl::StatusOr<std::map<RowId, Post>> Read(const std::vector<RowId>& ids);
  // Stores everything except id, uid, like_count and create_time.
  absl::Status Update(const Post& post);

 private:
  events::Tx& tx_;
  const PostsSql& sql_;
};

struct PostQuery {
  RowId user_id{};  // 0: the posts of all users
  PageStart start;
};

// Reads do not see a post that is deleted or whose user is deleted. Thread-safe.
class PostStore {
 public:
  PostStore(db::Database& database, const relation::Visibility& visibility) : database_(database), sql_(visibility) {}

  // The posts within a transaction.
  PostTx In(events::Tx& tx) const { return {tx, sql_}; }

  // Returns the posts that exist, by ascending id. At most 1,000 ids.
  absl::StatusOr<std::vector<Post>> Get(const Call& call, const std::vector<RowId>& ids);
  // Returns the users of the posts that exist. At most 1,000 ids.
  absl::StatusOr<std::map<RowId, RowId>> Authors(const Call& call, const std::vector<RowId>& ids);
  // Returns a page of posts by id. Scan says where a page ends. One statement reads the posts, so of each user the page
  // shows all posts that belong on it or none, as of one instant.
  absl::StatusOr<Page<Post>> List(const Call& call, const PostQuery& query);
  // Returns a page of the posts that a user likes, by ascending id. Scan says where a page ends.
  absl::StatusOr<Page<Post>> ListLiked(const Call& call, RowId user_id, int64_t after, int64_t limit);

 private:
  db::Database& database_;
  const PostsSql sql_;
};

}  // namespace crosskey::posts
