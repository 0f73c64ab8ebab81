#include "tests/support/tcp_gate.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/free_port.h"

namespace crosskey::testing {
namespace {

constexpr int kLookMs = 5;  // how soon a change of the gate is noticed

sockaddr_in Loopback4(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

bool Readable(int fd) {
  pollfd poll_fd{fd, POLLIN, 0};
  return poll(&poll_fd, 1, 0) > 0;
}

bool WriteAll(int fd, const char* data, ssize_t size) {
  while (size > 0) {
    const ssize_t written = send(fd, data, static_cast<size_t>(size), MSG_NOSIGNAL);
    if (written <= 0) return false;
    data += written;
    size -= written;
  }
  return true;
}

}  // namespace

struct TcpGate::Connection {
  int client;
  int target;
  int cuts;
  std::thread relay = {};
  std::atomic<bool> ended = false;

  Connection(int client_fd, int target_fd, int cuts_before) : client(client_fd), target(target_fd), cuts(cuts_before) {}
};

TcpGate::TcpGate(int target_port) : target_port_(target_port), port_(FreePort()) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const sockaddr_in address = Loopback4(port_);
  if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(listener_, 64) != 0) {
    std::perror("tcp gate");
    std::abort();
  }
  acceptor_ = std::thread([this] { Accept(); });
}

TcpGate::~TcpGate() {
  stopping_ = true;
  acceptor_.join();
  for (Connection& connection : relayed_) connection.relay.join();
  close(listener_);
}

void TcpGate::CutAll() { ++cuts_; }

void TcpGate::Heal() {
  const bool to_target_lost = swallow_to_target_.exchange(false);
  const bool from_target_lost = swallow_from_target_.exchange(false);
  refuse_ = false;
  stop_accepting_ = false;
  cut_after_ = -1;
  delay_ms_ = 0;
  if (to_target_lost || from_target_lost) CutAll();
}

// A gate that lives for hours relays many connections, few at a time: the threads of those that have ended must not
// pile up.
void TcpGate::JoinEnded() {
  relayed_.remove_if([](Connection& connection) {
    if (connection.ended) connection.relay.join();
    return !connection.relay.joinable();
  });
}

bool TcpGate::Ends(const Connection& connection) const { return stopping_ || cuts_ != connection.cuts; }

void TcpGate::Accept() {
  while (!stopping_) {
    JoinEnded();
    pollfd poll_fd{listener_, POLLIN, 0};
    if (poll(&poll_fd, 1, kLookMs) <= 0 || stop_accepting_) {
      if (stop_accepting_) poll(nullptr, 0, kLookMs);
      continue;
    }
    const int cuts = cuts_;
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    const sockaddr_in address = Loopback4(target_port_);
    const int target = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (refuse_ || connect(target, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      close(client);
      close(target);
      continue;
    }
    Connection& connection = relayed_.emplace_back(client, target, cuts);
    connection.relay = std::thread([this, &connection] { Relay(connection); });
  }
}

void TcpGate::Relay(Connection& connection) {
  int64_t carried = 0;
  char buffer[16 * 1024];
  bool open = true;
  while (open && !Ends(connection)) {
    pollfd both[2] = {{connection.client, POLLIN, 0}, {connection.target, POLLIN, 0}};
    if (poll(both, 2, kLookMs) <= 0) continue;
    for (const bool to_target : {true, false}) {
      const int from = to_target ? connection.client : connection.target;
      const int to = to_target ? connection.target : connection.client;
      if (!Readable(from)) continue;
      const ssize_t size = recv(from, buffer, sizeof(buffer), 0);
      open = open && size > 0;
      if (size <= 0) break;
      if (to_target ? swallow_to_target_ : swallow_from_target_) continue;
      if (!to_target) carried += size;
      const int64_t limit = cut_after_;
      for (int waited = 0; waited < delay_ms_ && !Ends(connection); waited += kLookMs) {
        poll(nullptr, 0, std::min(kLookMs, delay_ms_ - waited));
      }
      if (!to_target && limit >= 0 && carried > limit) open = false;
      open = open && !Ends(connection) && WriteAll(to, buffer, size);
    }
  }
  close(connection.client);
  close(connection.target);
  connection.ended = true;
}

}  // namespace crosskey::testing
