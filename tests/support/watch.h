// Looks at a running service from outside, at its resources and its metrics, and makes it wait at a fault point.
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

// How many calls of this gRPC service ("post.v1.PostService") are being handled.
int64_t InFlight(int metrics_port, const std::string& service);

// Makes a process of a test build wait at a fault point, each of the first `count` times that it gets there, until
// Release. The process needs flags(). Declare the Hold before the process, so that it outlives it: without it a process
// that has been released would wait again.
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
