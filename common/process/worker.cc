#include "common/process/worker.h"

#include <pthread.h>

#include "common/telemetry/log.h"

namespace crosskey {

Worker::Worker(std::string name, absl::Duration round_limit, Round round)
    : name_(std::move(name)), round_limit_(round_limit), round_(std::move(round)) {}

Worker::~Worker() { Stop(); }

void Worker::Start() {
  thread_ = std::thread([this] { Run(); });
  pthread_setname_np(thread_.native_handle(), name_.substr(0, 15).c_str());
}

void Worker::Wake() {
  {
    std::lock_guard lock(mutex_);
    woken_ = true;
  }
  changed_.notify_all();
}

void Worker::BeginToStop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
}

void Worker::Stop() {
  BeginToStop();
  if (thread_.joinable()) thread_.join();
}

void Worker::Run() {
  while (!stopping_) {
    Call call = Call::Background(round_limit_);
    call.cancelled = [this] { return stopping_.load(); };
    absl::Duration pause = absl::Seconds(1);
    try {
      pause = round_(call);
    } catch (const std::exception&) {
      // A round throws only when memory runs out. The next round tries again.
      log::Error("a worker's round failed", {{"worker", name_}});
    }
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, absl::ToChronoMilliseconds(pause), [this] { return woken_ || stopping_; });
    woken_ = false;
  }
}

}  // namespace crosskey
