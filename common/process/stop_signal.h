// Being told to stop. No signal handler runs: a thread that waits may do anything.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "absl/time/time.h"

namespace crosskey::process {

// Blocks SIGTERM and SIGINT in this thread and in those that it starts from now on, and ignores SIGPIPE. The first
// thing that main does: a thread started earlier would take the signal and end the process.
void BlockStopSignals();

// Ends WaitForStopSignal as a SIGTERM would. From any thread; without effect in a process that has not called BlockStopSignals,
// as the programs of the tests have not.
void RequestStop();

// Waits for SIGTERM or SIGINT and returns its number. One that came after BlockStopSignals() is not missed.
int WaitForStopSignal();

// An end by a fixed time, whatever the ordinary one waits for: a database that hangs holds its sessions for longer than
// whoever sent the signal waits. What was not acknowledged then is not stored, or is as after a lost connection.
class ExitAfter {
 public:
  // Ends the process with exit code 0 unless this object is destroyed before `limit` has passed.
  explicit ExitAfter(absl::Duration limit);
  ~ExitAfter();
  ExitAfter(const ExitAfter&) = delete;
  ExitAfter& operator=(const ExitAfter&) = delete;

 private:
  void Run(absl::Duration limit);

  std::mutex mutex_;
  std::condition_variable changed_;
  bool in_time_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace crosskey::process
