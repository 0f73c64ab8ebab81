// Tests the gate that other tests trust, one fault in each test. Behind the gate is a server that sends back what it
// gets.
#include "tests/support/tcp_gate.h"

#include <atomic>
#include <string>
#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/free_port.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

sockaddr_in AddressOf(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

// Sends back everything that comes, one connection after the other.
class Echo {
 public:
  Echo() : port_(FreePort()), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const sockaddr_in address = AddressOf(port_);
    EXPECT_EQ(bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    thread_ = std::thread([this] { Serve(); });
  }
  ~Echo() {
    stopping_ = true;
    thread_.join();
    close(listener_);
  }
  int port() const { return port_; }
  int64_t received() const { return received_; }

 private:
  void Serve() {
    int fd = -1;
    while (!stopping_) {
      pollfd wanted{fd < 0 ? listener_ : fd, POLLIN, 0};
      if (poll(&wanted, 1, 5) <= 0) continue;
      if (fd < 0) {
        fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        continue;
      }
      char buffer[4096];
      const ssize_t size = recv(fd, buffer, sizeof(buffer), 0);
      if (size > 0) received_ += size;
      if (size <= 0 || send(fd, buffer, static_cast<size_t>(size), MSG_NOSIGNAL) != size) {
        close(fd);
        fd = -1;
      }
    }
    if (fd >= 0) close(fd);
  }

  const int port_;
  const int listener_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int64_t> received_ = 0;
  std::thread thread_;
};

class GateClient {
 public:
  explicit GateClient(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const sockaddr_in address = AddressOf(port);
    connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~GateClient() { close(fd_); }
  bool connected() const { return connected_; }
  void Send(const std::string& text) { send(fd_, text.data(), text.size(), MSG_NOSIGNAL); }
  // What has come within the time, "(end)" if the connection has ended, "" if nothing came.
  std::string Receive(int milliseconds = 10'000) {
    pollfd wanted{fd_, POLLIN, 0};
    if (poll(&wanted, 1, milliseconds) <= 0) return "";
    char buffer[4096];
    const ssize_t size = recv(fd_, buffer, sizeof(buffer), 0);
    return size <= 0 ? "(end)" : std::string(buffer, static_cast<size_t>(size));
  }
  std::string Ask(const std::string& text) {
    Send(text);
    return Receive();
  }

 private:
  const int fd_;
  bool connected_;
};

constexpr int kLookMs = 100;  // how long to look for what must not come; nothing fails if it comes later

class TcpGateTest : public ::testing::Test {
 protected:
  void ExpectItRecovers() {
    gate.Heal();
    GateClient client(gate.port());
    EXPECT_EQ(client.Ask("again"), "again");
  }

  Echo server;
  TcpGate gate{server.port()};
};

TEST_F(TcpGateTest, WithoutAFaultItCarriesEverything) {
  for (int i = 0; i < 20; ++i) {
    GateClient client(gate.port());
    EXPECT_EQ(client.Ask("one"), "one");
    EXPECT_EQ(client.Ask("two"), "two");
  }
}

TEST_F(TcpGateTest, RefusedConnectionsEndAtOnce) {
  gate.Refuse(true);
  GateClient client(gate.port());
  EXPECT_EQ(client.Ask("x"), "(end)");
  ExpectItRecovers();
}

TEST_F(TcpGateTest, ConnectionsThatNobodyAcceptsHangAndAreServedLater) {
  gate.StopAccepting(true);
  GateClient client(gate.port());
  EXPECT_TRUE(client.connected());
  client.Send("late");
  EXPECT_EQ(client.Receive(kLookMs), "");
  gate.StopAccepting(false);
  EXPECT_EQ(client.Receive(), "late");
}

TEST_F(TcpGateTest, CutConnectionsEnd) {
  GateClient client(gate.port());
  EXPECT_EQ(client.Ask("x"), "x");
  gate.CutAll();
  EXPECT_EQ(client.Receive(), "(end)");
  ExpectItRecovers();
}

TEST_F(TcpGateTest, WhatGoesToTheTargetIsLostAlone) {
  GateClient client(gate.port());
  EXPECT_EQ(client.Ask("x"), "x");
  gate.SwallowToTarget(true);
  client.Send("lost");
  EXPECT_EQ(client.Receive(kLookMs), "");
  EXPECT_EQ(server.received(), 1);
  ExpectItRecovers();
  EXPECT_EQ(client.Receive(), "(end)");
}

TEST_F(TcpGateTest, WhatComesFromTheTargetIsLostAlone) {
  GateClient client(gate.port());
  EXPECT_EQ(client.Ask("x"), "x");
  gate.SwallowFromTarget(true);
  client.Send("heard");
  EXPECT_TRUE(WaitFor([&] { return server.received() == 6; }));
  EXPECT_EQ(client.Receive(kLookMs), "");
  ExpectItRecovers();
}

TEST_F(TcpGateTest, AConnectionEndsAfterSoManyBytes) {
  gate.CutAfterFromTarget(5);
  GateClient client(gate.port());
  EXPECT_EQ(client.Ask("four"), "four");
  EXPECT_EQ(client.Ask("more"), "(end)");
  ExpectItRecovers();
}

TEST_F(TcpGateTest, WhatIsDelayedArrivesLaterAndWhole) {
  gate.Delay(150);
  {
    GateClient client(gate.port());
    const absl::Time begin = absl::Now();
    EXPECT_EQ(client.Ask("slow"), "slow");
    EXPECT_GE(absl::Now() - begin, absl::Milliseconds(300));
  }
  ExpectItRecovers();
}

TEST_F(TcpGateTest, ADelayedConnectionCanBeCut) {
  gate.Delay(3'600'000);
  GateClient client(gate.port());
  client.Send("never");
  EXPECT_EQ(client.Receive(kLookMs), "");
  gate.CutAll();
  EXPECT_EQ(client.Receive(), "(end)");
  ExpectItRecovers();
}

}  // namespace
}  // namespace crosskey::testing
