// The events that post-service makes itself. common/relation publishes the others: PostsDeleted and UserPostsReclaimed.
#pragma once

#include <string>
#include <vector>

#include "common/events/event.h"
#include "common/status/ids.h"

namespace crosskey::posts {

events::Draft PostCreated(RowId id, const std::string& uid, RowId user_id);
events::Draft PostUpdated(RowId id, const std::string& uid, const std::vector<std::string>& paths);

}  // namespace crosskey::posts
