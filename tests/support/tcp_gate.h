// A TCP relay on the loopback address that can fail in the ways that networks do.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <thread>

namespace crosskey::testing {

// Relays every connection that is made to its own port to a target port. Thread-safe.
class TcpGate {
 public:
  explicit TcpGate(int target_port);
  ~TcpGate();
  TcpGate(const TcpGate&) = delete;
  TcpGate& operator=(const TcpGate&) = delete;

  int port() const { return port_; }

  // Relays new connections to this port, as a load balancer does that has a new instance behind it.
  void Retarget(int target_port) { target_port_ = target_port; }

  // New connections are closed at once.
  void Refuse(bool refuse) { refuse_ = refuse; }
  // New connections are made and then hang, because nobody accepts them. Those that still wait at the end are accepted.
  void StopAccepting(bool stop) { stop_accepting_ = stop; }
  // Ends all connections.
  void CutAll();
  // Swallows everything that goes in one direction, on open connections and on new ones: a one-way partition. What was
  // swallowed is lost, so the connections are useless afterwards: end them by CutAll, or call Heal.
  void SwallowToTarget(bool swallow) { swallow_to_target_ = swallow; }
  void SwallowFromTarget(bool swallow) { swallow_from_target_ = swallow; }
  // Ends each connection once it has carried more than so many bytes from the target, counted from its beginning. The
  // piece that exceeds the limit is lost. Negative: never.
  void CutAfterFromTarget(int64_t bytes) { cut_after_ = bytes; }
  // Delays every piece (at most 16 KiB) in both directions by so many milliseconds; 0: no delay.
  void Delay(int milliseconds) { delay_ms_ = milliseconds; }
  // Undoes all of the above but Retarget. Ends all connections if anything may have been swallowed.
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
  std::atomic<int> cuts_ = 0;      // calls of CutAll: a connection ends when there has been one since it began
  std::list<Connection> relayed_;  // used by the acceptor thread alone, until that has ended
  std::thread acceptor_;
};

}  // namespace crosskey::testing
