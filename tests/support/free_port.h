#pragma once

#include <string>

namespace crosskey::testing {

// A TCP port of the loopback address that nobody listens on, outside the range from which the kernel takes the ports of
// outgoing connections. Never the same one twice in a process, and never one of another process that is alive and takes
// its ports here: a server that stops and starts again finds its port free. Not for use by several threads at once.
int FreePort();

// Whether this machine has an address of IPv6.
bool HasIpv6();

// "127.0.0.1:PORT"
std::string Loopback(int port);

}  // namespace crosskey::testing
