#include "common/events/peer_watch.h"

#include <algorithm>

namespace crosskey::events {
namespace {

FeedPosition PositionIn(const std::vector<FeedPosition>& positions, const std::string& feed) {
  const auto found = std::find_if(positions.begin(), positions.end(), [&](const auto& p) { return p.feed == feed; });
  return found == positions.end() ? FeedPosition{feed, "", Sequence{}} : *found;
}

// A position in another history says nothing about this one, so it counts as 0.
Sequence Within(const FeedPosition& position, const FeedInfo& feed) {
  return position.feed_id == feed.feed_id ? position.last_sequence : Sequence{};
}

}  // namespace

void CaughtUp::Note(Sequence head, Sequence position, absl::Time now) {
  if (mark_.has_value() && position >= *mark_) {
    until_ = mark_time_;
    mark_.reset();
  }
  if (position >= head) {
    until_ = now;
    mark_.reset();
  } else if (!mark_.has_value()) {
    mark_ = head;
    mark_time_ = now;
  }
}

PeerWatch::PeerWatch(std::string own, std::string peer, Feed& feed, Transport& transport,
                     std::function<absl::Time()> now, telemetry::Metrics& metrics)
    : own_(std::move(own)),
      peer_(std::move(peer)),
      feed_(feed),
      transport_(transport),
      now_(std::move(now)),
      head_(metrics.Gauge("crosskey_feed_head_sequence", "The last event that has a place in the own feed.")),
      floor_(metrics.Gauge("crosskey_feed_floor_sequence",
                           "The last event that has been removed from the own feed; 0: none.")),
      oldest_unnumbered_(metrics.Gauge("crosskey_oldest_unsequenced_event_seconds",
                                       "Age of the oldest event that has no place in the feed yet; 0: there is none.")),
      lag_(metrics.Gauge("crosskey_consumer_lag_events",
                         "Events of the feed that have not taken effect here, when the peer was last asked.",
                         {{"feed", peer_}})) {}

absl::Status PeerWatch::Round(const Call& call) {
  absl::Status status = LookAtOwn(call);
  status.Update(AskPeer(call));
  return status;
}

absl::Status PeerWatch::LookAtOwn(const Call& call) {
  CROSSKEY_ASSIGN_OR_RETURN(const std::optional<absl::Time> oldest, feed_.OldestUnnumbered(call));
  oldest_unnumbered_.Set(oldest.has_value() ? std::max(0.0, absl::ToDoubleSeconds(now_() - *oldest)) : 0);
  return absl::OkStatus();
}

absl::Status PeerWatch::AskPeer(const Call& call) {
  // Each head is read before the position that is compared with it. In the other order the head could move on between
  // the two reads, and a reader that keeps up would look as if it were behind.
  const absl::Time now = now_();
  CROSSKEY_ASSIGN_OR_RETURN(const FeedInfo own, feed_.Info(call));
  head_.Set(static_cast<double>(Value(own.head)));
  floor_.Set(static_cast<double>(Value(own.floor)));
  const absl::StatusOr<PeerInfo> peer = transport_.Info(call);
  if (!peer.ok()) {
    std::lock_guard lock(mutex_);
    view_.asked = true;
    view_.answers = false;
    return absl::OkStatus();
  }
  CROSSKEY_ASSIGN_OR_RETURN(const std::vector<FeedPosition> positions, feed_.Positions(call));
  const FeedPosition of_peer = PositionIn(peer->positions, own_);
  const Sequence consumed = Within(PositionIn(positions, peer_), peer->feed);
  lag_.Set(static_cast<double>(std::max<int64_t>(0, Value(peer->feed.head) - Value(consumed))));

  std::lock_guard lock(mutex_);
  peer_progress_.Note(own.head, Within(of_peer, own), now);
  own_progress_.Note(peer->feed.head, consumed, now);
  view_ = {true, true, of_peer, peer_progress_.until(), own_progress_.until()};
  return absl::OkStatus();
}

PeerWatch::View PeerWatch::view() const {
  std::lock_guard lock(mutex_);
  return view_;
}

}  // namespace crosskey::events
