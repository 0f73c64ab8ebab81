// A TCP relay on the loopback address that can misbehave as networks do.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <thread>

namespace crosskey::testing {

// Relays every connection to its own port to another port. Thread-safe.
class TcpGate {
 public:
  explicit TcpGate(int target_port);
  ~TcpGate();
  TcpGate(const TcpGate&) = delete;
  TcpGate& operator=(const TcpGate&) = delete;

  int port() const { return port_; }

  // New connections are relayed to this port, as when a load balancer has a new instance behind it.
  void Retarget(int target_port) { target_port_ = target_port; }

  // New connections are closed at once.
  void Refuse(bool refuse) { refuse_ = refuse; }
  // New connections are made and then hang: nobody accepts them. Ends with those that waited being accepted.
  void StopAccepting(bool stop) { stop_accepting_ = stop; }
  // Ends all connections.
  void CutAll();
  // Swallows what goes in one direction, on connections that are open and on new ones: a partition of one way. What was
  // swallowed is lost, so heal it by CutAll too.
  void SwallowToTarget(bool swallow) { swallow_to_target_ = swallow; }
  void SwallowFromTarget(bool swallow) { swallow_from_target_ = swallow; }
  // Ends each connection after it has carried that many bytes more from the target; negative: never.
  void CutAfterFromTarget(int64_t bytes) { cut_after_ = bytes; }
  // Holds every piece of at most 16 KiB back for so long, in both directions; 0: not at all.
  void Delay(int milliseconds) { delay_ms_ = milliseconds; }
  // All of the above as at the beginning. Ends the connections if some may have lost what they carried.
  void Heal();

 private:
  struct Connection;

  void Accept();
  void Relay(Connection& connection);
  bool Ends(const Connection& connection) const;
  void JoinEnded();

  std::atomic<int> target_port_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> refuse_ = false;
  std::atomic<bool> stop_accepting_ = false;
  std::atomic<bool> swallow_to_target_ = false;
  std::atomic<bool> swallow_from_target_ = false;
  std::atomic<int64_t> cut_after_ = -1;
  std::atomic<int> delay_ms_ = 0;
  std::atomic<int> cuts_ = 0;      // a connection ends when this is not what it was at its beginning
  std::list<Connection> relayed_;  // the acceptor's, until it has ended
  std::thread acceptor_;
};

}  // namespace crosskey::testing
