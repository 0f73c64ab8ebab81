// Reads a page of a service's own HTTP server, which serves the metrics.
#pragma once

#include <string>

namespace crosskey::testing {

// The whole answer with its headers; empty if nobody listens.
std::string HttpGet(int port, const std::string& path);

}  // namespace crosskey::testing
