#include "post-service/events/post_events.h"

#include "common/status/errors.h"
#include "post-service/domain/post.h"
#include "post/v1/post_events.pb.h"

namespace crosskey::posts {

events::Draft PostCreated(RowId id, const std::string& uid, RowId user_id) {
  post::v1::PostCreated payload;
  payload.set_id(Value(id));
  payload.set_uid(uid);
  payload.set_user_id(Value(user_id));
  return events::DraftOf(errors::ResourceName(kPostType, id), payload);
}

events::Draft PostUpdated(RowId id, const std::string& uid, const std::vector<std::string>& paths) {
  post::v1::PostUpdated payload;
  payload.set_id(Value(id));
  payload.set_uid(uid);
  for (const std::string& path : paths) payload.add_paths(path);
  return events::DraftOf(errors::ResourceName(kPostType, id), payload);
}

}  // namespace crosskey::posts
