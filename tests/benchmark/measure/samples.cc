#include "tests/benchmark/measure/samples.h"

#include <algorithm>

namespace crosskey::benchmark {
namespace {

// `sorted` is not empty. The smallest value that is not exceeded by this share of them.
double Percentile(const std::vector<double>& sorted, double share) {
  const auto rank = static_cast<size_t>(share * static_cast<double>(sorted.size()));
  return sorted[std::min(rank, sorted.size() - 1)];
}

}  // namespace

void Samples::Add(Clock::time_point begin, Clock::time_point end) { samples_.push_back({end, end - begin}); }

void Samples::Fail(const std::string& error) {
  if (errors_++ == 0) first_error_ = error;
}

void Samples::Append(const Samples& other) {
  samples_.insert(samples_.end(), other.samples_.begin(), other.samples_.end());
  if (errors_ == 0) first_error_ = other.first_error_;
  errors_ += other.errors_;
}

nlohmann::json Samples::Summary(const Window& window) const {
  std::vector<double> latencies;
  for (const Sample& sample : samples_) {
    if (sample.end < window.begin || sample.end >= window.end) continue;
    latencies.push_back(std::chrono::duration<double, std::milli>(sample.latency).count());
  }
  std::sort(latencies.begin(), latencies.end());
  nlohmann::json summary = {{"calls", latencies.size()}, {"errors", errors_}, {"seconds", window.seconds()}};
  if (!first_error_.empty()) summary["first_error"] = first_error_;
  if (latencies.empty()) return summary;
  summary["per_second"] = static_cast<double>(latencies.size()) / window.seconds();
  summary["p50_ms"] = Percentile(latencies, 0.5);
  summary["p99_ms"] = Percentile(latencies, 0.99);
  summary["max_ms"] = latencies.back();
  return summary;
}

int64_t Samples::CallsIn(const Window& window) const {
  return std::count_if(samples_.begin(), samples_.end(),
                       [&](const Sample& sample) { return sample.end >= window.begin && sample.end < window.end; });
}

}  // namespace crosskey::benchmark
