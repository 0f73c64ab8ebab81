// A page of the services' own HTTP server, the metrics.
#pragma once

#include <string>

namespace crosskey::testing {

// The whole answer, head included; empty if nobody listens.
std::string HttpGet(int port, const std::string& path);

}  // namespace crosskey::testing
