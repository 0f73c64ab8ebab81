// post.v1.UserPostsReclaimed: nothing refers to a deleted user any more.
#pragma once

#include "absl/status/status.h"
#include "common/events/outbox.h"
#include "common/relation/deletions.h"

namespace crosskey::users {

absl::Status OnUserPostsReclaimed(events::Tx& tx, const events::Event& event, relation::Deletions& deletions);

}  // namespace crosskey::users
