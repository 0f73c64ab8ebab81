#include "tests/support/free_port.h"

#include <cstdlib>
#include <set>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace crosskey::testing {
namespace {

bool CanBind(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  const bool free = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return free;
}

}  // namespace

int FreePort() {
  static std::set<int> given;
  static unsigned seed = static_cast<unsigned>(getpid());
  while (true) {
    const int port = 20000 + rand_r(&seed) % 12000;
    if (given.count(port) == 0 && CanBind(port)) {
      given.insert(port);
      return port;
    }
  }
}

std::string Loopback(int port) { return "127.0.0.1:" + std::to_string(port); }

}  // namespace crosskey::testing
