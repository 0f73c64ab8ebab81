// Being told to stop. No signal handler runs: a thread that waits may do anything.
#pragma once

namespace crosskey::process {

// Blocks SIGTERM and SIGINT in this thread and in those that it starts from now on, and ignores SIGPIPE. The first
// thing that main does: a thread started earlier would take the signal and end the process.
void BlockStopSignals();

// Waits for SIGTERM or SIGINT and returns its number. One that came after BlockStopSignals() is not missed.
int WaitForStopSignal();

}  // namespace crosskey::process
