// The likes' table.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "common/db/database.h"
#include "post-service/domain/like.h"
#include "post-service/storage/scan.h"

namespace crosskey::posts {

// Reads see no like of a user, of a post or of a post's author that is deleted. Thread-safe.
class LikeStore {
 public:
  explicit LikeStore(db::Database& database) : database_(database) {}

  absl::StatusOr<bool> Has(const Call& call, int64_t post_id, int64_t user_id);
  // By ascending user id; see Scan.
  absl::StatusOr<Page<Like>> OfPost(const Call& call, int64_t post_id, int64_t after, int64_t limit);

 private:
  db::Database& database_;
};

// Takes likes of one user, which are about to be removed, off the counters of their posts.
absl::Status Uncount(db::Tx& tx, const std::vector<int64_t>& like_ids);

}  // namespace crosskey::posts
