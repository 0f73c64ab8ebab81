#include "tests/benchmark/measure/process_usage.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <unistd.h>

namespace crosskey::benchmark {
namespace {

std::string ReadFile(int pid, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/" + name);
  std::stringstream text;
  text << file.rdbuf();
  if (!file || text.str().empty()) throw std::runtime_error("there is no process " + std::to_string(pid));
  return text.str();
}

// User and system time of all threads, also of those that have ended.
double CpuSeconds(const Watched& watched) {
  double ticks = 0;
  for (const int pid : watched.pids) {
    const std::string stat = ReadFile(pid, "stat");
    // The second field is the name, which may contain anything. utime and stime are the fields 14 and 15.
    std::istringstream fields(stat.substr(stat.rfind(')') + 1));
    std::string skipped;
    for (int field = 3; field < 14; ++field) fields >> skipped;
    double user = 0, system = 0;
    fields >> user >> system;
    ticks += user + system;
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// User, nice and system time of all processors, and what other guests have taken from this one.
double MachineSeconds() {
  std::ifstream file("/proc/stat");
  std::string name;
  double user = 0, nice = 0, system = 0, idle = 0, waiting = 0, interrupts = 0, soft = 0, stolen = 0;
  file >> name >> user >> nice >> system >> idle >> waiting >> interrupts >> soft >> stolen;
  return (user + nice + system + stolen) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// The sum of a line of /proc/PID/status.
int64_t StatusSum(const Watched& watched, const std::string& name) {
  int64_t sum = 0;
  for (const int pid : watched.pids) {
    const std::string status = ReadFile(pid, "status");
    const size_t at = status.find("\n" + name + ":");
    if (at != std::string::npos) sum += std::stoll(status.substr(at + name.size() + 2));
  }
  return sum;
}

}  // namespace

Watched ParseWatched(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) throw std::invalid_argument("not NAME=PID[+PID...]: " + text);
  Watched watched{text.substr(0, equals), {}};
  std::istringstream pids(text.substr(equals + 1));
  for (std::string pid; std::getline(pids, pid, '+');) watched.pids.push_back(std::stoi(pid));
  return watched;
}

ProcessUsage::ProcessUsage(std::vector<Watched> watched) : watched_(std::move(watched)) {
  watched_.push_back({"client", {getpid()}});
  Begin();
}

void ProcessUsage::Begin() {
  begin_.clear();
  for (const Watched& watched : watched_) begin_.push_back(CpuSeconds(watched));
  machine_begin_ = MachineSeconds();
  time_begin_ = std::chrono::steady_clock::now();
}

double ProcessUsage::WatchedSeconds() const {
  double sum = 0;
  for (size_t i = 0; i < watched_.size(); ++i) sum += CpuSeconds(watched_[i]) - begin_[i];
  return sum;
}

double ProcessUsage::OthersShare() const {
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - time_begin_;
  const double others = MachineSeconds() - machine_begin_ - WatchedSeconds();
  const double share = others / time.count() / static_cast<double>(sysconf(_SC_NPROCESSORS_ONLN));
  // The ticks of short measurements may add up to less than nothing, or to more than there is.
  return std::clamp(share, 0.0, 1.0);
}

nlohmann::json ProcessUsage::End() const {
  nlohmann::json usage = nlohmann::json::object();
  for (size_t i = 0; i < watched_.size(); ++i) {
    nlohmann::json& one = usage[watched_[i].name];
    one["max_rss_mib"] = static_cast<double>(StatusSum(watched_[i], "VmHWM")) / 1024;
    one["threads"] = StatusSum(watched_[i], "Threads");
    one["cpu_seconds"] = CpuSeconds(watched_[i]) - begin_[i];
  }
  return usage;
}

}  // namespace crosskey::benchmark
