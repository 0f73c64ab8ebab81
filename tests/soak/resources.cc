#include "tests/soak/resources.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/workload/growth.h"

namespace crosskey::testing {
namespace {

constexpr size_t kLeastSamples = 40;

// The allowance of Grows: an increase up to this is not growth, however small the first value is.
int64_t Allowance(const std::string& what) {
  if (absl::EndsWith(what, "RSS KiB")) return 8 * 1024;
  return absl::EndsWith(what, "outbox rows") ? 5000 : 8;
}

// A number of /proc/PID/status; 0 if the process has ended.
int64_t FromStatus(pid_t pid, const std::string& name) {
  std::ifstream in(absl::StrCat("/proc/", pid, "/status"));
  for (std::string word; in >> word;) {
    int64_t value = 0;
    if (word == name && in >> value) return value;
  }
  return 0;
}

int64_t Descriptors(pid_t pid) {
  std::error_code error;
  std::filesystem::directory_iterator files(absl::StrCat("/proc/", pid, "/fd"), error);
  return error ? 0 : std::distance(begin(files), end(files));
}

}  // namespace

void Resources::Add(const std::string& what, pid_t pid, int64_t value) {
  if (value > 0) series_[{what, pid}].push_back({absl::Now(), value});
}

void Resources::LookAtProcesses(Cluster& cluster) {
  if (absl::Now() < last_look_ + absl::Milliseconds(500)) return;
  last_look_ = absl::Now();
  for (const Side side : {Side::kUsers, Side::kPosts}) {
    for (int i = 0; i < cluster.replicas(); ++i) {
      if (!cluster.Running(side, i)) continue;
      const std::string name = absl::StrCat(side == Side::kUsers ? "user" : "post", "-service ", i);
      const pid_t pid = cluster.process(side, i).pid();
      Add(name + " RSS KiB", pid, FromStatus(pid, "VmRSS:"));
      Add(name + " threads", pid, FromStatus(pid, "Threads:"));
      Add(name + " descriptors", pid, Descriptors(pid));
    }
  }
}

void Resources::LookAtOutboxes(Cluster& cluster) {
  Add("user-service outbox rows", 0, cluster.user_db().Number("SELECT COUNT(*) FROM outbox"));
  Add("post-service outbox rows", 0, cluster.post_db().Number("SELECT COUNT(*) FROM outbox"));
}

std::vector<std::string> Resources::Grown(bool trimmed) const {
  std::vector<std::string> grown;
  for (const auto& [key, samples] : series_) {
    const bool outbox = key.pid == 0;
    if (outbox ? !trimmed || samples.size() < 8 : samples.size() < kLeastSamples) continue;
    std::vector<int64_t> values;
    for (const Sample& sample : samples) values.push_back(sample.value);
    const Windows windows = WindowsOf(values);
    if (Grows(windows, Allowance(key.what))) {
      grown.push_back(absl::StrCat(key.what, " grows: ", windows.first, ", ", windows.middle, ", ", windows.last));
    }
  }
  return grown;
}

void Resources::Print(int phases) const {
  absl::Time begin = absl::InfiniteFuture();
  absl::Time end = absl::InfinitePast();
  std::map<std::string, std::vector<Sample>> by_name;  // of all processes of that name
  for (const auto& [key, samples] : series_) {
    by_name[key.what].insert(by_name[key.what].end(), samples.begin(), samples.end());
    begin = std::min(begin, samples.front().time);
    end = std::max(end, samples.back().time);
  }
  std::printf("%-28s first/last/max in each of %d phases\n", "resource", phases);
  for (auto& [what, samples] : by_name) {
    std::sort(samples.begin(), samples.end(), [](const Sample& a, const Sample& b) { return a.time < b.time; });
    std::printf("%-28s", what.c_str());
    size_t next = 0;
    for (int phase = 1; phase <= phases; ++phase) {
      const absl::Time until = phase == phases ? absl::InfiniteFuture() : begin + (end - begin) * phase / phases;
      int64_t first = 0, last = 0, highest = 0;
      for (; next < samples.size() && samples[next].time < until; ++next) {
        last = samples[next].value;
        if (first == 0) first = last;
        highest = std::max(highest, last);
      }
      std::printf("  %s", absl::StrCat(first, "/", last, "/", highest).c_str());
    }
    std::printf("\n");
  }
}

}  // namespace crosskey::testing
