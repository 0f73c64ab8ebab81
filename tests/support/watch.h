// Looks at a running service from outside: its resources and its metrics; and makes it hold calls.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

namespace crosskey::testing {

struct Usage {
  int64_t resident_kib;
  int64_t threads;
  int64_t descriptors;
};
Usage UsageOf(pid_t process);

// The value of a metric, named with its labels as the service prints them; -1 where it does not print it.
double MetricOf(int metrics_port, const std::string& name);

// Calls of this gRPC service ("post.v1.PostService") that are being handled.
int64_t InFlight(int metrics_port, const std::string& service);

// A place where a process of a test build waits, each of the first `count` times it gets there, until Release. Declare it
// before the process.
class Hold {
 public:
  Hold(const std::string& point, int count);
  ~Hold();
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  const std::vector<std::string>& flags() const { return flags_; }
  void Release();

 private:
  std::string path_;
  std::vector<std::string> flags_;
};

}  // namespace crosskey::testing
