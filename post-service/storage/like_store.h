// The likes' table, and the counter of likes in the posts' table.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "common/events/outbox.h"
#include "post-service/domain/like.h"
#include "post-service/storage/likes_sql.h"
#include "post-service/storage/scan.h"

namespace crosskey::posts {

// Changes likes within one transaction that has locked the post. The counter of the post is changed before the row of
// `likes`, because locks on posts are taken before locks on likes (common/relation/README.md).
class LikeTx {
 public:
  explicit LikeTx(events::Tx& tx) : tx_(tx) {}

  absl::StatusOr<bool> Has(const Like& like);
  absl::Status Add(const Like& like);
  // Adds those of the likes, at most 1,000, that are not there yet. All their posts must be locked.
  absl::Status AddMissing(const std::vector<Like>& likes);
  absl::Status Remove(const Like& like);

 private:
  events::Tx& tx_;
};

// Reads do not see a like whose user, whose post or whose post's author is deleted. Thread-safe.
class LikeStore {
 public:
  LikeStore(db::Database& database, const relation::Visibility& visibility) : database_(database), sql_(visibility) {}

  absl::StatusOr<bool> Has(const Call& call, const Like& like);
  // Returns a page of likes by ascending user id. Scan says where a page ends.
  absl::StatusOr<Page<Like>> OfPost(const Call& call, RowId post_id, int64_t after, int64_t limit);

 private:
  db::Database& database_;
  const LikesSql sql_;
};

// Subtracts likes that are about to be removed from the counters of their posts. All of them must be of one user, so
// that each post loses one like.
absl::Status Uncount(db::Tx& tx, const std::vector<RowId>& like_ids);

}  // namespace crosskey::posts
