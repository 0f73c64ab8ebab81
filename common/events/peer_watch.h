// Whether events get through, as seen every few seconds: for metrics, for trimming, and to tell why a deletion waits.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/events/feed.h"
#include "common/events/transport.h"
#include "common/telemetry/metrics.h"

namespace crosskey::events {

// How far a reader follows a feed, in time. A reader that is a few events behind may be quick or stuck; this tells.
class CaughtUp {
 public:
  // `head` was read at `now`, and `position` after it.
  void Note(Sequence head, Sequence position, absl::Time now);

  // What had been published by then has been read.
  absl::Time until() const { return until_; }

 private:
  std::optional<Sequence> mark_;  // a head, waited for since `mark_time_`
  absl::Time mark_time_;
  absl::Time until_ = absl::InfinitePast();
};

// Thread-safe.
class PeerWatch {
 public:
  // What was last seen. Times are those of the clock that the watch was given.
  struct View {
    bool asked = false;                                // at least once
    bool answers = false;                              // the last time
    FeedPosition of_peer;                              // how far the peer has consumed this service's feed
    absl::Time peer_caught_up = absl::InfinitePast();  // it has consumed what was published until then
    absl::Time own_caught_up = absl::InfinitePast();   // so has this service
  };

  PeerWatch(std::string own, std::string peer, Feed& feed, Transport& transport, std::function<absl::Time()> now,
            telemetry::Metrics& metrics);

  // Asks the peer once, looks at the own tables, and sets the gauges. Each of its few statements reads one row by an index.
  absl::Status Round(const Call& call);

  View view() const;

 private:
  absl::Status LookAtOwn(const Call& call);
  absl::Status AskPeer(const Call& call);

  const std::string own_;
  const std::string peer_;
  Feed& feed_;
  Transport& transport_;
  const std::function<absl::Time()> now_;
  prometheus::Gauge& head_;
  prometheus::Gauge& floor_;
  prometheus::Gauge& oldest_unnumbered_;
  prometheus::Gauge& lag_;

  mutable std::mutex mutex_;  // guards what follows
  View view_;
  CaughtUp peer_progress_;
  CaughtUp own_progress_;
};

}  // namespace crosskey::events
