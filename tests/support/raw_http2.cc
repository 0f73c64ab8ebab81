#include "tests/support/raw_http2.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace crosskey::testing {
namespace {

constexpr uint8_t kData = 0;
constexpr uint8_t kEndStream = 1;
constexpr uint8_t kEndHeaders = 4;
constexpr size_t kFrameHeader = 9;

int Connect(int port, const std::string& from = "") {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (inet_pton(AF_INET, from.c_str(), &address.sin_addr) == 1) {
    static_cast<void>(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
  }
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  // If this fails, so does whatever is sent.
  static_cast<void>(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)));
  return fd;
}

std::string BigEndian(uint32_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i));
  return text;
}

// A header field that is no part of any table (RFC 7541, section 6.2.2).
std::string Field(const std::string& name, const std::string& value) {
  return std::string(1, '\0') + static_cast<char>(name.size()) + name + static_cast<char>(value.size()) + value;
}

}  // namespace

RawHttp2::RawHttp2(int port, uint32_t window) : fd_(Connect(port)) {
  SendBytes("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  Send(kSettings, 0, 0, BigEndian(4, 2) + BigEndian(window, 4));  // SETTINGS_INITIAL_WINDOW_SIZE
}

RawHttp2::~RawHttp2() { close(fd_); }

void RawHttp2::SendBytes(const std::string& bytes) {
  ended_ = ended_ || send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size());
}

void RawHttp2::Send(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
  SendBytes(BigEndian(static_cast<uint32_t>(payload.size()), 3) + static_cast<char>(type) + static_cast<char>(flags) +
            BigEndian(stream, 4) + payload);
}

uint32_t RawHttp2::Begin(const std::string& path) {
  const uint32_t stream = std::exchange(next_, next_ + 2);
  Send(kHeaders, kEndHeaders, stream,
       Field(":method", "POST") + Field(":scheme", "http") + Field(":path", path) + Field(":authority", "test") +
           Field("content-type", "application/grpc") + Field("te", "trailers"));
  return stream;
}

uint32_t RawHttp2::Call(const std::string& path, const std::string& message) {
  const uint32_t stream = Begin(path);
  Send(kData, kEndStream, stream, std::string(1, '\0') + BigEndian(static_cast<uint32_t>(message.size()), 4) + message);
  return stream;
}

bool RawHttp2::Await(uint32_t stream, uint8_t type, absl::Duration limit) {
  const std::pair<uint32_t, uint8_t> wanted(stream, type);
  const absl::Time until = absl::Now() + limit;
  while (std::find(seen_.begin(), seen_.end(), wanted) == seen_.end()) {
    pollfd polled{fd_, POLLIN, 0};
    const absl::Duration left = std::max(until - absl::Now(), absl::ZeroDuration());
    if (poll(&polled, 1, static_cast<int>(absl::ToInt64Milliseconds(left))) != 1) return false;
    char bytes[65536];
    const ssize_t got = recv(fd_, bytes, sizeof(bytes), 0);
    if (got <= 0) return false;
    unread_.append(bytes, static_cast<size_t>(got));
    const auto byte = [this](size_t at) { return static_cast<uint32_t>(static_cast<unsigned char>(unread_[at])); };
    while (unread_.size() >= kFrameHeader) {
      const size_t length = byte(0) << 16 | byte(1) << 8 | byte(2);
      if (unread_.size() < kFrameHeader + length) break;
      seen_.emplace_back((byte(5) & 0x7F) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8), byte(3));
      unread_.erase(0, kFrameHeader + length);
    }
  }
  return true;
}

RawConnection::RawConnection(int port, const std::string& text, const std::string& from) : fd_(Connect(port, from)) {
  if (!text.empty()) Say(text);
}

bool RawConnection::Say(const std::string& text) const {
  return send(fd_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

RawConnection::RawConnection(RawConnection&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

RawConnection::~RawConnection() {
  if (fd_ >= 0) close(fd_);
}

bool RawConnection::HasEnded() const {
  char byte = 0;
  const ssize_t got = recv(fd_, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
  return got == 0 || (got < 0 && errno != EAGAIN);
}

void ShutDownListeningSockets(int port) {
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    int fd = -1;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &fd)) continue;
    int listens = 0;
    socklen_t size = sizeof(listens);
    sockaddr_in address{};
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) continue;
    size = sizeof(address);
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) continue;
    if (ntohs(address.sin_port) == port && shutdown(fd, SHUT_RDWR) == 0) ++found;
  }
  EXPECT_GT(found, 0);
}

}  // namespace crosskey::testing
