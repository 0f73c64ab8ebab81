// Reads a page of a service's own HTTP server, which serves the metrics.
#pragma once

#include <string>

namespace crosskey::testing {

// The whole answer with its headers; empty if nobody listens, or if nothing comes for a minute.
std::string HttpGet(int port, const std::string& path);
// The same by TLS, of a client that verifies nothing.
std::string HttpsGet(int port, const std::string& path);
// The answer to any request.
std::string HttpAnswer(int port, const std::string& request);

}  // namespace crosskey::testing
