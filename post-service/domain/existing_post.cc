#include "post-service/domain/existing_post.h"

#include "common/fault/fault.h"
#include "common/status/errors.h"
#include "common/status/limits.h"

namespace crosskey::posts {

absl::StatusOr<Post> ExistingPost::Get(const Call& call, int64_t id) {
  CROSSKEY_ASSIGN_OR_RETURN(auto posts, store_.Get(call, {id}));
  if (posts.empty()) return errors::NotFound(kPostType, id);
  return std::move(posts.front());
}

absl::Status ExistingPost::Write(const Call& call, const Target& target,
                                 const std::function<absl::Status(PostTx&, Post&)>& body) {
  for (int round = 0; round < limits::kConsistencyRounds; ++round) {
    // Which references to lock stands in the post, and the post may be locked only after them: so it is read first, and
    // compared again under the locks.
    CROSSKEY_ASSIGN_OR_RETURN(const Post seen, Get(call, target.id));
    std::vector<int64_t> users = {seen.user_id};
    if (target.user.has_value() && fault::Without(fault::Guard::kOldReference)) users.clear();
    if (target.user.has_value()) users.push_back(*target.user);
    bool moved = false;
    const auto write = [&](events::Tx& tx) -> absl::Status {
      PostTx post_tx(tx);
      CROSSKEY_ASSIGN_OR_RETURN(std::optional<Post> post, post_tx.Lock(target.id));
      if (!post.has_value()) return errors::NotFound(kPostType, target.id);
      moved = post->user_id != seen.user_id;
      if (moved) return errors::Conflict();
      if (target.version.has_value() && *target.version != post->version) {
        return errors::EtagMismatch(kPostType, target.id);
      }
      return body(post_tx, *post);
    };
    const absl::Status status = users_.Write(call, target.relationship, users, write, target.if_unknown);
    if (moved) continue;
    if (errors::ReasonOf(status) == "FOREIGN_KEY_VIOLATION") {
      // If it is the post's own user that is gone, so is the post, unless it has moved away in time.
      CROSSKEY_ASSIGN_OR_RETURN(const Post now, Get(call, target.id));
      if (now.user_id != seen.user_id) continue;
    }
    return status;
  }
  return errors::Conflict();
}

}  // namespace crosskey::posts
