#include "user-service/events/on_user_posts_reclaimed.h"

#include "post/v1/post_events.pb.h"
#include "user-service/relationships.h"

namespace crosskey::users {

absl::Status OnUserPostsReclaimed(events::Tx& tx, const events::Event& event, relation::Deletions& deletions) {
  post::v1::UserPostsReclaimed payload;
  if (!payload.ParseFromString(event.payload)) return absl::InvalidArgumentError("undecodable UserPostsReclaimed");
  return deletions.OnReclaimed(tx, payload.deletion_id(), {{kPostUser, payload.posts()}, {kLikeUser, payload.likes()}});
}

}  // namespace crosskey::users
