#include "common/batch/workers.h"

#include <algorithm>

#include <pthread.h>

#include "absl/time/time.h"

namespace crosskey::batch {
namespace {

// How often items that wait are looked at: whether they may go on waiting, and whether another thread is to begin.
constexpr std::chrono::milliseconds kTick(5);
// So many threads are left to lines that do not wait for locks or for others.
constexpr int kForOthers = 4;

}  // namespace

LineBase::LineBase(Workers& workers, const LineOptions& options)
    : workers_(workers),
      batch_(options.batch),
      lanes_(options.lanes),
      patience_(absl::ToChronoNanoseconds(options.patience)),
      may_wait_(options.may_wait),
      length_(workers.metrics_.Gauge("crosskey_line_calls", "Calls that wait for a thread.", {{"line", options.name}})),
      sizes_(workers.metrics_.Histogram("crosskey_batch_calls", "Calls that were done together.",
                                        {1, 2, 4, 8, 16, 32, 64, 128}, {{"line", options.name}})),
      waits_(workers.metrics_.Histogram("crosskey_line_wait_seconds",
                                        "Time that the first call of a batch waited for a thread.",
                                        {.0001, .001, .005, .025, .1, .5, 1, 5, 30}, {{"line", options.name}})) {}

void LineBase::Open() {
  std::lock_guard lock(workers_.mutex_);
  workers_.lines_.push_back(this);
}

void LineBase::Close() {
  std::lock_guard lock(workers_.mutex_);
  auto& lines = workers_.lines_;
  lines.erase(std::remove(lines.begin(), lines.end(), this), lines.end());
}

void LineBase::Took(size_t items, Clock::time_point oldest) {
  sizes_.Observe(static_cast<double>(items));
  waits_.Observe(std::chrono::duration<double>(Clock::now() - oldest).count());
}

Workers::Workers(int threads, telemetry::Metrics& metrics) : metrics_(metrics), number_(threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { Work(); });
    pthread_setname_np(threads_.back().native_handle(), "calls");
  }
  clock_ = std::thread([this] { Tick(); });
  pthread_setname_np(clock_.native_handle(), "calls-clock");
}

Workers::~Workers() { Stop(); }

void Workers::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  time_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
  if (clock_.joinable()) clock_.join();
}

bool Workers::MayBegin(const LineBase& line, Clock::time_point now) const {
  if (line.Empty() || line.busy_ >= line.lanes_) return false;
  if (line.may_wait_ && busy_waiting_ >= std::max(1, number_ - kForOthers)) return false;
  return line.busy_ == 0 || now - line.Oldest() >= line.patience_;
}

bool Workers::Wake() {
  if (idle_ == 0) return false;
  --idle_;
  ++woken_;
  work_.notify_one();
  return true;
}

void Workers::Added(const LineBase& line) {
  if (MayBegin(line, Clock::now()) && Wake()) return;
  if (ticking_) return;
  ticking_ = true;
  time_.notify_one();
}

LineBase* Workers::Next(Clock::time_point now) const {
  LineBase* next = nullptr;
  for (LineBase* line : lines_) {
    if (MayBegin(*line, now) && (next == nullptr || line->Oldest() < next->Oldest())) next = line;
  }
  return next;
}

void Workers::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (LineBase* line = Next(Clock::now())) {
      ++line->busy_;
      busy_waiting_ += line->may_wait_ ? 1 : 0;
      line->Do(lock);
      --line->busy_;
      busy_waiting_ -= line->may_wait_ ? 1 : 0;
    } else if (stopping_) {
      return;
    } else {
      ++idle_;
      work_.wait(lock, [this] { return woken_ > 0 || stopping_; });
      // Whoever wakes a thread has counted it already.
      woken_ > 0 ? --woken_ : --idle_;
    }
  }
}

void Workers::Tick() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (!ticking_) {
      time_.wait(lock, [this] { return ticking_ || stopping_; });
      continue;
    }
    time_.wait_for(lock, kTick, [this] { return stopping_; });
    const Clock::time_point now = Clock::now();
    for (LineBase* line : std::vector<LineBase*>(lines_)) {
      line->Refuse(lock, now - kTick);
      if (MayBegin(*line, now)) Wake();
    }
    ticking_ = std::any_of(lines_.begin(), lines_.end(), [](const LineBase* line) { return !line->Empty(); });
  }
}

}  // namespace crosskey::batch
