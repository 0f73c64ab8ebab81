// What post-service publishes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/events/event.h"
#include "common/relation/reference_table.h"

namespace crosskey::posts {

events::Draft PostCreated(int64_t id, const std::string& uid, int64_t user_id);
events::Draft PostUpdated(int64_t id, const std::string& uid, const std::vector<std::string>& paths);
// `subject` is the post, or the user with which they were deleted.
events::Draft PostsDeleted(const std::string& subject, const std::vector<relation::Removed>& posts);
events::Draft UserPostsReclaimed(const relation::Reclaimed& reclaimed);

}  // namespace crosskey::posts
