// Page tokens: where a list goes on (a keyset page), bound to the list that they came from.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace crosskey::rpc {

// `list` names the method and the arguments that choose and order the rows. The token is opaque but no secret: whoever
// makes one by hand can only begin at another id of a list that they may read anyway.
std::string EncodePageToken(const std::string& list, int64_t last_id);

// The last id of the previous page; 0 for an empty token. INVALID_PAGE_TOKEN for a token of another list, or none at
// all.
absl::StatusOr<int64_t> DecodePageToken(const std::string& list, const std::string& token);

}  // namespace crosskey::rpc
