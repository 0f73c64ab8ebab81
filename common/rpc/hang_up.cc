#include "common/rpc/hang_up.h"

#include <filesystem>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "absl/strings/numbers.h"

namespace crosskey::rpc {
namespace {

// The local port of a socket; 0 for everything else.
int PortOf(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6*>(&address)->sin6_port);
  return 0;
}

bool IsTcp(int fd) {
  int type = 0;
  socklen_t size = sizeof(type);
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

std::vector<int> SocketsOf(int port) {
  std::vector<int> found;
  std::error_code error;
  for (std::filesystem::directory_iterator entry("/proc/self/fd", error), end; !error && entry != end;
       entry.increment(error)) {
    int fd = -1;
    if (absl::SimpleAtoi(entry->path().filename().string(), &fd) && IsTcp(fd) && PortOf(fd) == port)
      found.push_back(fd);
  }
  return found;
}

}  // namespace

void HangUp(int port) {
  for (const int fd : SocketsOf(port)) {
    // The port is checked again, because the descriptor may belong to another file by now.
    if (PortOf(fd) == port) shutdown(fd, SHUT_RDWR);
  }
}

}  // namespace crosskey::rpc
