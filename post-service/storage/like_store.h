// The likes' table, and the counter of likes in the posts' table.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "common/events/outbox.h"
#include "post-service/domain/like.h"
#include "post-service/storage/likes_sql.h"
#include "post-service/storage/scan.h"

namespace crosskey::posts {

// Changes within one transaction that has locked the post. The counter is changed first: two users that like one post wait there
// for each other.
class LikeTx {
 public:
  explicit LikeTx(events::Tx& tx) : tx_(tx) {}

  absl::StatusOr<bool> Has(const Like& like);
  absl::Status Add(const Like& like);
  absl::Status Remove(const Like& like);

 private:
  events::Tx& tx_;
};

// Reads see no like of a user, of a post or of a post's author that is deleted. Thread-safe.
class LikeStore {
 public:
  LikeStore(db::Database& database, const relation::Visibility& visibility) : database_(database), sql_(visibility) {}

  absl::StatusOr<bool> Has(const Call& call, const Like& like);
  // By ascending user id; see Scan.
  absl::StatusOr<Page<Like>> OfPost(const Call& call, RowId post_id, int64_t after, int64_t limit);

 private:
  db::Database& database_;
  const LikesSql sql_;
};

// Takes likes of one user, which are about to be removed, off the counters of their posts.
absl::Status Uncount(db::Tx& tx, const std::vector<RowId>& like_ids);

}  // namespace crosskey::posts
