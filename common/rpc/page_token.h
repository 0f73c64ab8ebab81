// Page tokens say where a list goes on (keyset pages). A token is valid only for the list that it came from.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace crosskey::rpc {

// `list` names the method and the arguments that choose and order the rows. The token is opaque but no secret: whoever
// makes one by hand can only begin at another id of a list that they may read anyway.
std::string EncodePageToken(const std::string& list, int64_t last_id);

// The last id of the previous page; 0 for an empty token. INVALID_ARGUMENT INVALID_PAGE_TOKEN: the text is a token of
// another list, or no token.
absl::StatusOr<int64_t> DecodePageToken(const std::string& list, const std::string& token);

}  // namespace crosskey::rpc
