#include "common/process/stop_signal.h"

#include <atomic>
#include <csignal>
#include <cstdlib>

#include <unistd.h>

#include "common/telemetry/log.h"

namespace crosskey::process {
namespace {

std::atomic<bool> signals_are_blocked = false;

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

}  // namespace

void BlockStopSignals() {
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  signals_are_blocked = true;
}

void RequestStop() {
  if (signals_are_blocked) kill(getpid(), SIGTERM);
}

int WaitForStopSignal() {
  const sigset_t signals = StopSignals();
  int signal = 0;
  while (sigwait(&signals, &signal) != 0) {
  }
  return signal;
}

bool HasStopSignal() {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1;
}

ExitAfter::ExitAfter(absl::Duration limit, int exit_code)
    : thread_([this, limit, exit_code] { Run(limit, exit_code); }) {}

ExitAfter::~ExitAfter() {
  {
    std::lock_guard lock(mutex_);
    in_time_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void ExitAfter::Run(absl::Duration limit, int exit_code) {
  std::unique_lock lock(mutex_);
  if (changed_.wait_for(lock, absl::ToChronoMilliseconds(limit), [this] { return in_time_; })) return;
  log::Warning("stopped while something was still at work: it did not end in time");
  std::_Exit(exit_code);
}

}  // namespace crosskey::process
