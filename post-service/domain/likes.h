// What can be done with likes.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/idempotency/recorder.h"
#include "post-service/domain/existing_post.h"
#include "post-service/storage/like_store.h"

namespace crosskey::posts {

// Thread-safe. Arguments are valid: rpc/ has checked them. Each write hands the like to `record` in the transaction of
// its effect, so that the answer is stored with it.
class Likes {
 public:
  Likes(PostStore& posts, LikeStore& likes, relation::Guard& users)
      : posts_(posts), likes_(likes), existing_(posts, users) {}

  // A like that is there already stays as it is. FAILED_PRECONDITION FOREIGN_KEY_VIOLATION: there is no such post or no
  // such user; and the other errors of relation::Guard::Write.
  absl::Status Add(const Call& call, Like like, const idempotency::Record<Like>& record);
  // Adds likes of several calls, those that it can, in one transaction.
  absl::StatusOr<idempotency::Outcomes> AddTogether(const Call& call,
                                                    const std::vector<idempotency::Share<Like>>& shares,
                                                    const idempotency::RecordAll<Like>& record);
  // If there is no such like, no such post or no such user, there is nothing to do and nothing to record: OK.
  absl::Status Remove(const Call& call, const Like& like, const idempotency::Record<Like>& record);
  // NOT_FOUND POST_NOT_FOUND.
  absl::StatusOr<Page<Like>> OfPost(const Call& call, RowId post_id, int64_t after, int64_t limit);
  // Returns a page of the posts that the user likes.
  absl::StatusOr<Page<Post>> OfUser(const Call& call, RowId user_id, int64_t after, int64_t limit);

 private:
  PostStore& posts_;
  LikeStore& likes_;
  ExistingPost existing_;
};

}  // namespace crosskey::posts
