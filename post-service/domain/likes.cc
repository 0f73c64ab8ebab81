#include "post-service/domain/likes.h"

#include "absl/time/clock.h"
#include "common/status/errors.h"

namespace crosskey::posts {

absl::Status Likes::Add(const Call& call, int64_t post_id, int64_t user_id) {
  const ExistingPost::Target target{post_id, std::nullopt, user_id, kLikeUser, relation::Guard::Unknown::kAsk};
  const absl::Status status = existing_.Write(call, target, [&](PostTx& tx, Post&) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const bool liked, tx.HasLike(post_id, user_id));
    return liked ? absl::OkStatus() : tx.AddLike({post_id, user_id, absl::ToUnixMicros(absl::Now())});
  });
  // To the like the post is a foreign key as well.
  return absl::IsNotFound(status) ? errors::ForeignKeyViolation({{kLikePost, kPostType, post_id}}) : status;
}

absl::Status Likes::Remove(const Call& call, int64_t post_id, int64_t user_id) {
  // A like that is there has a user that is known here: nobody is asked about users that like nothing.
  CROSSKEY_ASSIGN_OR_RETURN(const bool is_there, likes_.Has(call, post_id, user_id));
  if (!is_there) return absl::OkStatus();
  const ExistingPost::Target target{post_id, std::nullopt, user_id, kLikeUser, relation::Guard::Unknown::kMissing};
  const absl::Status status = existing_.Write(call, target, [&](PostTx& tx, Post&) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const bool liked, tx.HasLike(post_id, user_id));
    return liked ? tx.RemoveLike(post_id, user_id) : absl::OkStatus();
  });
  // The post or the user has been deleted meanwhile, and the like with it.
  const bool gone = absl::IsNotFound(status) || errors::ReasonOf(status) == "FOREIGN_KEY_VIOLATION";
  return gone ? absl::OkStatus() : status;
}

absl::StatusOr<Page<Like>> Likes::OfPost(const Call& call, int64_t post_id, int64_t after, int64_t limit) {
  CROSSKEY_ASSIGN_OR_RETURN(Page<Like> page, likes_.OfPost(call, post_id, after, limit));
  if (!page.rows.empty()) return page;
  CROSSKEY_ASSIGN_OR_RETURN(const auto posts, posts_.Get(call, {post_id}));
  if (posts.empty()) return errors::NotFound(kPostType, post_id);
  return page;
}

absl::StatusOr<Page<Post>> Likes::OfUser(const Call& call, int64_t user_id, int64_t after, int64_t limit) {
  return posts_.ListLiked(call, user_id, after, limit);
}

}  // namespace crosskey::posts
