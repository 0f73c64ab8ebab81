// Clients of both services that do everything to the same few users and posts at once, and write down what they saw.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/cluster.h"
#include "tests/workload/history.h"
#include "tests/workload/population.h"

namespace crosskey::testing {

class Workload {
 public:
  struct Options {
    int clients = 8;
    uint64_t seed = 1;
    bool faults = true;   // some calls get a deadline that they can hardly keep
    int users = 36;       // at a time
    int posts = 400;      // that clients read and change; the users have more
    int64_t numbers = 0;  // of titles and names; a workload on the rows of an earlier one begins higher
  };

  Workload(Cluster& cluster, const Options& options);
  ~Workload();  // stops

  // From now on every client makes one call after the other, each to a replica of its choice.
  void Start();
  // Waits for the calls that are under way, and for repetitions of earlier ones. Returns all calls since Start.
  History Stop();

 private:
  class Client;

  Cluster& cluster_;
  const Options options_;
  Population population_;
  std::atomic<int64_t> numbers_ = 0;  // for titles and names, so that each is used once
  std::atomic<bool> stopping_ = false;
  int64_t starts_ = 0;
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace crosskey::testing
