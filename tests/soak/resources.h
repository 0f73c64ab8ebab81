// What the processes of a cluster take up, and what piles up in its databases, over the time of a soak.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/support/cluster.h"

namespace crosskey::testing {

class Resources {
 public:
  // Reads /proc for every process that runs, at most twice a second.
  void LookAtProcesses(Cluster& cluster);
  // Counts the rows of both outboxes.
  void LookAtOutboxes(Cluster& cluster);

  // One line for each series that has grown in the sense of growth.h. Each process is judged by itself, and only with
  // 40 samples or more, because fewer cannot tell. Outboxes are judged only if they are `trimmed`, with 8 samples or
  // more: otherwise they are meant to grow.
  std::vector<std::string> Grown(bool trimmed) const;

  // A line for each series: first, last and highest value in each of `phases` equal parts of the time.
  void Print(int phases) const;

 private:
  struct Sample {
    absl::Time time;
    int64_t value;
  };
  struct Key {
    std::string what;  // "user-service 0 RSS KiB"
    pid_t pid;         // 0 for a database
    bool operator<(const Key& other) const { return std::tie(what, pid) < std::tie(other.what, other.pid); }
  };
  void Add(const std::string& what, pid_t pid, int64_t value);

  absl::Time last_look_ = absl::InfinitePast();
  std::map<Key, std::vector<Sample>> series_;
};

}  // namespace crosskey::testing
