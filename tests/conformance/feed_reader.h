// Copies a feed into NATS, and reads a feed by a transport: each in a thread of its own.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/events/nats_publisher.h"
#include "common/events/transport.h"
#include "tests/conformance/served_log.h"
#include "tests/support/nats_servers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {

// Runs a publisher again whenever its session has ended, as a service does.
class Publishing {
 public:
  Publishing(Publisher& of, process::EventsOptions options)
      : publisher_({std::move(options), "post-service", absl::Hours(1)}, of.log.feed, of.log.history, of.identity,
                   of.log.storage.metrics),
        thread_([this] { Run(); }) {}
  ~Publishing() {
    stopping_ = true;
    thread_.join();
  }
  Publishing(const Publishing&) = delete;
  Publishing& operator=(const Publishing&) = delete;

  // What has ended the last session that has ended.
  absl::Status last_end() const {
    std::lock_guard lock(mutex_);
    return last_end_;
  }

 private:
  void Run() {
    Call call = Call::Background(absl::Hours(1));
    call.cancelled = [this] { return stopping_.load(); };
    while (!stopping_) {
      const absl::Status end = publisher_.Run(call, [] { return absl::OkStatus(); });
      {
        std::lock_guard lock(mutex_);
        last_end_ = end;
      }
      WaitFor([this] { return stopping_.load(); }, absl::Milliseconds(50));
    }
  }

  events::NatsPublisher publisher_;
  mutable std::mutex mutex_;
  absl::Status last_end_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

// Reads on whenever the stream has ended, as a consumer does. Checks of each batch that it goes on where the last one
// ended, and has or leaves out every event.
class Reading {
 public:
  Reading(events::Transport& transport, events::FeedPosition from, std::vector<std::string> types = {})
      : transport_(transport), types_(std::move(types)), position_(std::move(from)), thread_([this] { Run(); }) {}
  ~Reading() { Stop(); }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;

  void Stop() {
    if (!thread_.joinable()) return;  // the transport may be gone
    stopping_ = true;
    transport_.Cancel();
    thread_.join();
  }

  bool Await(int64_t sequence) {
    return WaitFor([&] { return Value(position().last_sequence) >= sequence; });
  }
  // Each as "SEQUENCETYPE".
  std::vector<std::string> events() const {
    std::lock_guard lock(mutex_);
    return events_;
  }
  int64_t left_out() const {
    std::lock_guard lock(mutex_);
    return left_out_;
  }
  events::FeedPosition position() const {
    std::lock_guard lock(mutex_);
    return position_;
  }
  absl::Status last_end() const {
    std::lock_guard lock(mutex_);
    return last_end_;
  }

 private:
  absl::Status Take(const events::Batch& batch) {
    std::lock_guard lock(mutex_);
    EXPECT_EQ(batch.after, position_.last_sequence);
    EXPECT_LE(batch.events.size(), size_t{limits::kEventBatch});
    EXPECT_EQ(static_cast<int64_t>(batch.events.size()) + batch.left_out, Value(batch.through) - Value(batch.after));
    if (batch.is_bookmark()) return absl::OkStatus();
    for (const events::Event& event : batch.events) events_.push_back(absl::StrCat(Value(event.sequence), event.type));
    left_out_ += batch.left_out;
    position_.feed_id = batch.feed_id;
    position_.last_sequence = batch.through;
    const bool has_last = !batch.events.empty() && batch.events.back().sequence == batch.through;
    position_.event_id = has_last ? batch.events.back().id : batch.through_id;
    return absl::OkStatus();
  }
  void Run() {
    while (!stopping_) {
      const absl::Status end =
          transport_.Stream(position(), types_, [this](const events::Batch& batch) { return Take(batch); });
      {
        std::lock_guard lock(mutex_);
        last_end_ = end;
      }
      WaitFor([this] { return stopping_.load(); }, absl::Milliseconds(50));
    }
  }

  events::Transport& transport_;
  const std::vector<std::string> types_;
  mutable std::mutex mutex_;  // guards the next four
  events::FeedPosition position_;
  std::vector<std::string> events_;
  int64_t left_out_ = 0;
  absl::Status last_end_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace crosskey::testing
