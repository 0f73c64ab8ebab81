#include "tests/support/free_port.h"

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace crosskey::testing {
namespace {

constexpr int kFirst = 20000;
constexpr int kBlock = 100;
constexpr int kBlocks = 120;  // up to 31999; Linux takes the ports of outgoing connections from 32768 on

// A socket that is bound to the port of the loopback address, or -1.
int Bind(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return fd;
  close(fd);
  return -1;
}

// Takes a block of ports for this process: its first port stays bound for as long as the process lives, so no other
// process of the tests takes the block.
int TakeBlock() {
  const int begin = static_cast<int>(getpid());
  for (int i = 0; i < kBlocks; ++i) {
    const int first = kFirst + kBlock * ((begin + i) % kBlocks);
    if (Bind(first) >= 0) return first;
  }
  std::cerr << "No block of ports is free from " << kFirst << " on\n";
  std::abort();
}

}  // namespace

int FreePort() {
  static int last = TakeBlock();
  while (true) {
    if (++last % kBlock == 0) last = TakeBlock() + 1;
    if (const int fd = Bind(last); fd >= 0) {
      close(fd);
      return last;
    }
  }
}

bool HasIpv6() {
  std::ifstream addresses("/proc/net/if_inet6");
  return addresses.peek() != std::ifstream::traits_type::eof();
}

std::string Loopback(int port) { return "127.0.0.1:" + std::to_string(port); }

}  // namespace crosskey::testing
