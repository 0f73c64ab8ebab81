// post.v1.PostsDeleted: what it does to the pins that refer to the posts.
#pragma once

#include "absl/status/status.h"
#include "common/events/outbox.h"
#include "common/relation/parent_events.h"

namespace crosskey::users {

absl::Status OnPostsDeleted(events::Tx& tx, const events::Event& event, const relation::ParentEvents& references);

}  // namespace crosskey::users
