#pragma once

#include <string>

namespace crosskey {

// A random UUID (RFC 9562, version 4) in lower case.
std::string NewUuid();

}  // namespace crosskey
