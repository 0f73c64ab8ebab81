#include "user-service/events/on_posts_deleted.h"

#include "post/v1/post_events.pb.h"

namespace crosskey::users {

absl::Status OnPostsDeleted(events::Tx& tx, const events::Event& event, const relation::ParentEvents& references) {
  post::v1::PostsDeleted payload;
  if (!payload.ParseFromString(event.payload)) return absl::InvalidArgumentError("undecodable PostsDeleted");
  std::vector<relation::Removed> posts;
  for (const auto& post : payload.posts()) posts.push_back({post.id(), post.uid()});
  // Nobody asks to release a post before it is deleted, so there is no deletion to name.
  return references.OnDeleted(tx, posts, 0);
}

}  // namespace crosskey::users
