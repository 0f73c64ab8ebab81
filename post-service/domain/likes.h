// What can be done with likes.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "post-service/domain/existing_post.h"
#include "post-service/storage/like_store.h"

namespace crosskey::posts {

// Thread-safe. Arguments are valid: rpc has checked them.
class Likes {
 public:
  Likes(PostStore& posts, LikeStore& likes, relation::Guard& users)
      : posts_(posts), likes_(likes), existing_(posts, users) {}

  // A like that is there already stays as it is. FAILED_PRECONDITION FOREIGN_KEY_VIOLATION: there is no such post or no
  // such user; and the other errors of relation::Guard::Write.
  absl::Status Add(const Call& call, int64_t post_id, int64_t user_id);
  // Where there is no such like, no such post or no such user, there is nothing to do.
  absl::Status Remove(const Call& call, int64_t post_id, int64_t user_id);
  // NOT_FOUND POST_NOT_FOUND.
  absl::StatusOr<Page<Like>> OfPost(const Call& call, int64_t post_id, int64_t after, int64_t limit);
  // The posts that the user likes.
  absl::StatusOr<Page<Post>> OfUser(const Call& call, int64_t user_id, int64_t after, int64_t limit);

 private:
  PostStore& posts_;
  LikeStore& likes_;
  ExistingPost existing_;
};

}  // namespace crosskey::posts
