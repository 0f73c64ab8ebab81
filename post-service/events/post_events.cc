#include "post-service/events/post_events.h"

#include "common/status/errors.h"
#include "post-service/domain/like.h"
#include "post-service/domain/post.h"
#include "post/v1/post_events.pb.h"

namespace crosskey::posts {
namespace {

template <typename Payload>
events::Draft Draft(const std::string& subject, const Payload& payload) {
  return {payload.GetTypeName(), subject, payload.SerializeAsString()};
}

}  // namespace

events::Draft PostCreated(int64_t id, const std::string& uid, int64_t user_id) {
  post::v1::PostCreated payload;
  payload.set_id(id);
  payload.set_uid(uid);
  payload.set_user_id(user_id);
  return Draft(errors::ResourceName(kPostType, id), payload);
}

events::Draft PostUpdated(int64_t id, const std::string& uid, const std::vector<std::string>& paths) {
  post::v1::PostUpdated payload;
  payload.set_id(id);
  payload.set_uid(uid);
  for (const std::string& path : paths) payload.add_paths(path);
  return Draft(errors::ResourceName(kPostType, id), payload);
}

events::Draft PostsDeleted(const std::string& subject, const std::vector<relation::Removed>& posts) {
  post::v1::PostsDeleted payload;
  for (const relation::Removed& removed : posts) {
    auto* post = payload.add_posts();
    post->set_id(removed.id);
    post->set_uid(removed.uid);
  }
  return Draft(subject, payload);
}

events::Draft UserPostsReclaimed(const relation::Reclaimed& reclaimed) {
  post::v1::UserPostsReclaimed payload;
  payload.set_deletion_id(reclaimed.deletion_id);
  payload.set_user_id(reclaimed.parent_id);
  payload.set_uid(reclaimed.parent_uid);
  const auto posts = reclaimed.rows.find(kPostUser);
  if (posts != reclaimed.rows.end()) payload.set_posts(posts->second);
  const auto likes = reclaimed.rows.find(kLikeUser);
  if (likes != reclaimed.rows.end()) payload.set_likes(likes->second);
  return Draft(errors::ResourceName("user.v1.User", reclaimed.parent_id), payload);
}

}  // namespace crosskey::posts
