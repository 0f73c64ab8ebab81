// A background thread that does one thing again and again.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "common/status/call.h"

namespace crosskey {

namespace process {

// Background work that a library has for its service.
struct Task {
  enum class Kind {
    kEverywhere,       // every process does it
    kLeased,           // one replica does it for all, under a lease called `name`
    kLeasedNeedsPeer,  // the same, but a replica leaves the task to another one while it gets no answer from the peer
  };

  std::string name;                                  // of the thread, and of the lease
  std::function<absl::Duration(const Call&)> round;  // see Worker
  Kind kind = Kind::kEverywhere;
  bool is_upkeep = false;  // leased, short and not urgent: all such tasks share one thread
};

}  // namespace process

// Runs `round` again and again until it is stopped. A round returns how long to wait before the next one; Wake() ends
// the wait or, called during a round, skips the wait after it. The call given to a round is cancelled when the worker
// is told to stop, so a long round should look at it. Thread-safe.
class Worker {
 public:
  using Round = std::function<absl::Duration(const Call&)>;

  // `round_limit` is the deadline of each round.
  Worker(std::string name, absl::Duration round_limit, Round round);
  ~Worker();  // Stop()
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void Start();
  void Wake();
  // Cancels the round that runs, without waiting for its end.
  void BeginToStop();
  // The same, and waits for its end. Has no effect the second time.
  void Stop();

 private:
  void Run();

  const std::string name_;
  const absl::Duration round_limit_;
  const Round round_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace crosskey
