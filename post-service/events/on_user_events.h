// user.v1.UserCreated and user.v1.UserDeleted: what users do to the references that posts hold.
#pragma once

#include "absl/status/status.h"
#include "common/events/outbox.h"
#include "common/relation/parent_events.h"

namespace crosskey::posts {

absl::Status OnUserCreated(events::Tx& tx, const events::Event& event, const relation::ParentEvents& references);
absl::Status OnUserDeleted(events::Tx& tx, const events::Event& event, const relation::ParentEvents& references);

}  // namespace crosskey::posts
