// A client that speaks HTTP/2 badly on purpose, frame by frame (RFC 9113).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace crosskey::testing {

class RawHttp2 {
 public:
  // Connects to a port of the loopback address, and says that no answer may be sent on streams beyond `window` bytes.
  // If nobody listens there, or ends the connection later, calls do nothing and nothing comes.
  RawHttp2(int port, uint32_t window);
  ~RawHttp2();
  RawHttp2(const RawHttp2&) = delete;
  RawHttp2& operator=(const RawHttp2&) = delete;

  // Sends one call of gRPC, with this message in bytes. Returns its stream.
  uint32_t Call(const std::string& path, const std::string& message);
  // Begins a call, and sends nothing more.
  uint32_t Begin(const std::string& path);

  // Whether something could not be sent.
  bool has_ended() const { return ended_; }

  // Reads frames until one of this type (RFC 9113, section 6) has come on this stream. False: not within that time, or
  // the connection has ended.
  bool Await(uint32_t stream, uint8_t type, absl::Duration limit = absl::Seconds(30));
  static constexpr uint8_t kHeaders = 1;
  static constexpr uint8_t kResetStream = 3;
  static constexpr uint8_t kSettings = 4;

 private:
  void Send(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload);
  void SendBytes(const std::string& bytes);

  const int fd_;
  bool ended_ = false;
  uint32_t next_ = 1;
  std::string unread_;
  std::vector<std::pair<uint32_t, uint8_t>> seen_;  // stream and type of each frame that has come
};

// A TCP connection to a port of the loopback address that says what it is told to, and nothing else. It comes from the
// same address, or from another one of this machine.
class RawConnection {
 public:
  explicit RawConnection(int port, const std::string& text = "", const std::string& from = "");
  ~RawConnection();
  RawConnection(RawConnection&& other) noexcept;
  RawConnection& operator=(RawConnection&&) = delete;

  // False: the other side takes nothing more.
  bool Say(const std::string& text) const;
  // Whether the other side has ended it.
  bool HasEnded() const;

 private:
  int fd_;
};

// Ends the listening sockets of this process on that port, behind the back of who accepts there.
void ShutDownListeningSockets(int port);

}  // namespace crosskey::testing
