// How a process is told to stop. A thread waits for the signal instead of a signal handler, in which little is allowed.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "absl/time/time.h"

namespace crosskey::process {

// Blocks SIGTERM and SIGINT in this thread and in those that it starts from now on, and ignores SIGPIPE. Must be the
// first thing that main does: a thread started earlier would take the signal, which would end the process.
void BlockStopSignals();

// Ends WaitForStopSignal as a SIGTERM would. May be called from any thread. Has no effect in a process that has not
// called BlockStopSignals, such as a test program that runs a service in its own process.
void RequestStop();

// Waits for SIGTERM or SIGINT and returns its number. One that came after BlockStopSignals() is not missed.
int WaitForStopSignal();

// Whether SIGTERM or SIGINT has come after BlockStopSignals(), and nobody has waited for it. For work that looks again
// and again.
bool HasStopSignal();

// Ends the process by a fixed time, whatever an orderly stop still waits for. If the database hangs, it keeps sessions
// busy for longer than whoever sent the signal waits. A write that was not acknowledged by then may be stored or not,
// as after a lost connection.
class ExitAfter {
 public:
  // Ends the process with this exit code unless this object is destroyed before `limit` has passed.
  ExitAfter(absl::Duration limit, int exit_code);
  ~ExitAfter();
  ExitAfter(const ExitAfter&) = delete;
  ExitAfter& operator=(const ExitAfter&) = delete;

 private:
  void Run(absl::Duration limit, int exit_code);

  std::mutex mutex_;
  std::condition_variable changed_;
  bool in_time_ = false;
  std::thread thread_;  // the last member, because it uses the others
};

}  // namespace crosskey::process
