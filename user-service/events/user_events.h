// What user-service publishes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/events/event.h"

namespace crosskey::users {

events::Draft UserCreated(int64_t id, const std::string& uid);
events::Draft UserUpdated(int64_t id, const std::string& uid, const std::vector<std::string>& paths);
events::Draft UserDeleted(int64_t id, const std::string& uid, int64_t deletion_id);

}  // namespace crosskey::users
