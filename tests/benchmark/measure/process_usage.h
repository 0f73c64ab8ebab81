// The processor time, memory and threads of processes, from /proc.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace crosskey::benchmark {

// Processes that are added up, for example a server and its workers.
struct Watched {
  std::string name;
  std::vector<int> pids;
};

// Reads NAME=PID[+PID...]; throws std::invalid_argument for anything else.
Watched ParseWatched(const std::string& text);

// Looks at processes at the beginning and at the end of a measurement. The clock of /proc has ticks of 10 ms.
class ProcessUsage {
 public:
  // `watched`: of others; this process is added as "client". Throws std::runtime_error if one of them is not there.
  explicit ProcessUsage(std::vector<Watched> watched);

  // Forgets the beginning and takes now for it.
  void Begin();
  // For each name: the time since Begin(), the highest memory of the life of the processes, and the threads of now.
  nlohmann::json End() const;
  // Which part of all processors other processes have taken since Begin(), and other guests of the same host: what says
  // whether a machine was quiet.
  double OthersShare() const;

 private:
  double WatchedSeconds() const;  // since Begin()

  std::vector<Watched> watched_;
  std::vector<double> begin_;  // in seconds, in the order of watched_
  double machine_begin_ = 0;
  std::chrono::steady_clock::time_point time_begin_;
};

}  // namespace crosskey::benchmark
