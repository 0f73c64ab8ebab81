// What clients have seen: when each call ended, and how long it took.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace crosskey::benchmark {

using Clock = std::chrono::steady_clock;

// A span of time. A call belongs to it if it ended in it.
struct Window {
  Clock::time_point begin;
  Clock::time_point end;
  double seconds() const { return std::chrono::duration<double>(end - begin).count(); }
};

// Of one kind of calls. Not for several threads at a time.
class Samples {
 public:
  void Add(Clock::time_point begin, Clock::time_point end);
  // A call that failed. Only the text of the first one is kept.
  void Fail(const std::string& error);
  void Append(const Samples& other);

  // calls, per_second, p50_ms, p99_ms and max_ms of the calls in the window. errors counts all failed calls, those
  // outside of the window too, because a failed call makes the whole measurement doubtful.
  nlohmann::json Summary(const Window& window) const;
  int64_t CallsIn(const Window& window) const;

 private:
  struct Sample {
    Clock::time_point end;
    Clock::duration latency;
  };
  std::vector<Sample> samples_;
  int64_t errors_ = 0;
  std::string first_error_;
};

}  // namespace crosskey::benchmark
