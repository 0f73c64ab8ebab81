// The events that user-service makes itself. common/relation publishes the others: UserDeleted, and UserUpdated when a
// reclaim clears a pin.
#pragma once

#include <string>
#include <vector>

#include "common/events/event.h"
#include "common/status/ids.h"

namespace crosskey::users {

events::Draft UserCreated(RowId id, const std::string& uid);
events::Draft UserUpdated(RowId id, const std::string& uid, const std::vector<std::string>& paths);

}  // namespace crosskey::users
