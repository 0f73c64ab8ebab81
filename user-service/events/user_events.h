// What user-service publishes.
#pragma once

#include <string>
#include <vector>

#include "common/events/event.h"
#include "common/status/ids.h"

namespace crosskey::users {

// What relationships need to know of users; their deletion is published by the library.
events::Draft UserCreated(RowId id, const std::string& uid);
events::Draft UserUpdated(RowId id, const std::string& uid, const std::vector<std::string>& paths);

}  // namespace crosskey::users
