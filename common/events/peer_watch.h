// Looks every few seconds whether events get through in both directions. Metrics, trimming, and the reason why a
// deletion waits are based on it.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/events/feed.h"
#include "common/events/history.h"
#include "common/events/pairing.h"
#include "common/events/transport.h"
#include "common/telemetry/metrics.h"

namespace crosskey::events {

// The time up to which a reader has caught up with a feed. A count of events does not tell whether a reader that is a
// few events behind is quick or stuck; this time does.
class CaughtUp {
 public:
  // The caller takes the time `now`, then reads `head`, then `position`. So a position at the head covers all that had
  // been published at `now`.
  void Note(Sequence head, Sequence position, absl::Time now);

  // The reader has read everything that was published before this time.
  absl::Time until() const { return until_; }

 private:
  std::optional<Sequence> mark_;  // a head, read at `mark_time_`, that the reader has yet to reach
  absl::Time mark_time_;
  absl::Time until_ = absl::InfinitePast();
};

// Thread-safe.
class PeerWatch {
 public:
  // What the rounds have seen so far. Times are by the clock that the watch was given.
  struct View {
    bool asked = false;                                // the peer has been asked at least once
    bool answers = false;                              // it answered the last time, and is the right one
    bool is_mismatch = false;                          // whoever answered last is not the paired service
    std::string history_problem;                       // a history does not go on; empty: both do
    FeedPosition of_peer;                              // how far the peer has consumed this service's feed
    absl::Time peer_caught_up = absl::InfinitePast();  // the peer has consumed what was published until then
    absl::Time own_caught_up = absl::InfinitePast();   // this service has consumed what the peer published until then
  };

  PeerWatch(std::string own, std::string peer, Feed& feed, History& history, Transport& transport, Pairing& pairing,
            std::function<absl::Time()> now, telemetry::Metrics& metrics);

  // Asks the peer once, pairs with it if it is met for the first time, compares what it has seen of this service with
  // what is here, looks at the own tables, and sets the gauges.
  // Its few statements are cheap: each reads one row by an index, or the few rows of `checkpoints` or `instances`.
  absl::Status Round(const Call& call);

  View view() const;

 private:
  absl::Status LookAtOwn(const Call& call);
  absl::Status AskPeer(const Call& call);
  absl::Status CompareWithEarlier(const Call& call, const FeedInfo& own);

  const std::string own_;
  const std::string peer_;
  Feed& feed_;
  History& history_;
  Transport& transport_;
  Pairing& pairing_;
  const std::function<absl::Time()> now_;
  prometheus::Gauge& head_;
  prometheus::Gauge& floor_;
  prometheus::Gauge& oldest_unnumbered_;
  prometheus::Gauge& lag_;

  mutable std::mutex mutex_;  // guards the members below
  View view_;
  FeedInfo highest_;  // the highest head of the own feed that this process has seen
  CaughtUp peer_progress_;
  CaughtUp own_progress_;
};

}  // namespace crosskey::events
