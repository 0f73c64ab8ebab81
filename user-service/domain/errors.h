// The errors that only user-service has. The others are those of common/status/errors.h.
#pragma once

#include "absl/status/status.h"
#include "common/status/ids.h"

namespace crosskey::users {

// ALREADY_EXISTS ALREADY_PINNED: another user has pinned the post already.
absl::Status AlreadyPinned(RowId post);

}  // namespace crosskey::users
