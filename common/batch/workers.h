// Work that waits in lines, and the few threads that do it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "common/telemetry/metrics.h"

namespace crosskey::batch {

class Workers;

struct LineOptions {
  std::string name;  // labels metrics
  // How many items are done at once, at most.
  size_t batch = 1;
  // How many threads work on the line at a time, at most.
  int lanes = 1;
  // While a thread works on the line, another one begins only once the first item has waited for this long. Items that
  // wait gather to a larger batch, which costs less than two small ones, so a second thread pays off only when the
  // first one is held up.
  absl::Duration patience = absl::ZeroDuration();
  // Its items may wait for locks or for others. All lines of this kind together leave some threads to the others.
  bool may_wait = false;
};

// How long a line usually waits before a second thread begins with it.
inline constexpr absl::Duration kPatience = absl::Milliseconds(5);

using Clock = std::chrono::steady_clock;

// What Workers knows of a line. line.h has the lines themselves.
class LineBase {
 public:
  LineBase(const LineBase&) = delete;
  LineBase& operator=(const LineBase&) = delete;

 protected:
  LineBase(Workers& workers, const LineOptions& options);
  virtual ~LineBase() = default;

  // To be called at the end of the constructor and at the beginning of the destructor of a line: in between, threads
  // may ask it.
  void Open();
  void Close();
  // To be called by a line that has taken `items` out, of which the first one had waited since `oldest`.
  void Took(size_t items, Clock::time_point oldest);
  // To be called with the number of items that wait, when it has changed.
  void SetLength(size_t length) { length_.Set(static_cast<double>(length)); }

  Workers& workers_;
  const size_t batch_;

 private:
  friend class Workers;

  // All are called with the lock of the workers held.
  virtual bool Empty() const = 0;
  virtual Clock::time_point Oldest() const = 0;  // when the first item came; only if there is one
  // Takes the first items out of the line and does them. Lets go of the lock meanwhile.
  virtual void Do(std::unique_lock<std::mutex>& lock) = 0;
  // Takes out of the line what is not to wait any longer, of the items that came before `before`, and refuses it. Lets
  // go of the lock meanwhile.
  virtual void Refuse(std::unique_lock<std::mutex>& lock, Clock::time_point before) = 0;

  const int lanes_;
  const Clock::duration patience_;
  const bool may_wait_;
  prometheus::Gauge& length_;
  prometheus::Histogram& sizes_;
  prometheus::Histogram& waits_;
  int busy_ = 0;  // threads that work on the line; guarded by the lock of the workers
};

// A fixed number of threads for all lines. Of the lines on which a thread may begin, the one whose first item has
// waited for the longest time is next. Thread-safe.
class Workers {
 public:
  Workers(int threads, telemetry::Metrics& metrics);
  ~Workers();  // Stop()
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  int threads() const { return number_; }

  // Does what still waits, and ends the threads. The lines must not get any more. Has no effect the second time.
  void Stop();

 private:
  friend class LineBase;
  template <typename Item>
  friend class Line;

  // All with the lock held.
  bool MayBegin(const LineBase& line, Clock::time_point now) const;
  void Added(const LineBase& line);
  LineBase* Next(Clock::time_point now) const;
  bool Wake();  // a thread that waits for work; false: there is none

  void Work();
  void Tick();

  telemetry::Metrics& metrics_;
  const int number_;
  std::mutex mutex_;  // guards everything below, and the items of all lines
  std::condition_variable work_;
  std::condition_variable time_;
  std::vector<LineBase*> lines_;
  int idle_ = 0;          // threads that wait for work and have not been woken
  int woken_ = 0;         // threads that have been woken and have not gone on yet
  int busy_waiting_ = 0;  // threads that work on lines that may wait
  bool ticking_ = false;  // something waits that no thread has been woken for
  bool stopping_ = false;
  std::vector<std::thread> threads_;
  std::thread clock_;
};

}  // namespace crosskey::batch
