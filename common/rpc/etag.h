// Etags: the version of a row, for optimistic concurrency (AIP-154).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace crosskey::rpc {

std::string EtagOf(int64_t version);

// The version that a client asks for; nullopt if it sets no etag. An etag that was never given out gives a version that
// no row has.
std::optional<int64_t> VersionOf(const std::string& etag);

}  // namespace crosskey::rpc
