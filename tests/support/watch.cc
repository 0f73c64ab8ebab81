#include "tests/support/watch.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "tests/support/http_get.h"

namespace crosskey::testing {
Usage UsageOf(pid_t process) {
  const std::string folder = absl::StrCat("/proc/", process, "/");
  Usage usage{0, 0, 0};
  std::ifstream status(folder + "status");
  for (std::string line; std::getline(status, line);) {
    std::istringstream words(line);
    std::string name;
    int64_t value = 0;
    words >> name >> value;
    if (name == "VmRSS:") usage.resident_kib = value;
    if (name == "Threads:") usage.threads = value;
  }
  std::error_code ignored;
  for (auto fd = std::filesystem::directory_iterator(folder + "fd", ignored);
       fd != std::filesystem::directory_iterator(); ++fd) {
    ++usage.descriptors;
  }
  return usage;
}

double MetricOf(int metrics_port, const std::string& name) {
  std::istringstream lines(HttpGet(metrics_port, "/metrics"));
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(name + " ", 0) == 0) return std::stod(line.substr(name.size() + 1));
  }
  return -1;
}

int64_t InFlight(int metrics_port, const std::string& service) {
  return static_cast<int64_t>(
      MetricOf(metrics_port, absl::StrCat("crosskey_calls_in_flight{grpc_service=\"", service, "\"}")));
}

Hold::Hold(const std::string& point, int count) {
  char path[] = "/tmp/crosskey_hold_XXXXXX";
  close(mkstemp(path));
  path_ = path;
  unlink(path);  // only the name is needed: a process waits until the file exists
  for (int at = 1; at <= count; ++at) {
    flags_.emplace_back("--fault");
    flags_.push_back(absl::StrCat(point, "=wait:", path_, "@", at));
  }
}

Hold::~Hold() { unlink(path_.c_str()); }

void Hold::Release() { std::ofstream(path_).put('\n'); }

}  // namespace crosskey::testing
