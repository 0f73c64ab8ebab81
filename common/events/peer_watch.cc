#include "common/events/peer_watch.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/status/errors.h"

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

PeerWatch::PeerWatch(std::string own, std::string peer, Feed& feed, History& history, Transport& transport,
                     Pairing& pairing, std::function<absl::Time()> now, telemetry::Metrics& metrics)
    : own_(std::move(own)),
      peer_(std::move(peer)),
      feed_(feed),
      history_(history),
      transport_(transport),
      pairing_(pairing),
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
  status.Update(history_.Refresh(call));
  std::lock_guard lock(mutex_);
  view_.history_problem = history_.Problem();
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
  const absl::StatusOr<FeedInfo> own = feed_.Info(call);
  if (own.ok()) {
    head_.Set(static_cast<double>(Value(own->head)));
    floor_.Set(static_cast<double>(Value(own->floor)));
    CROSSKEY_RETURN_IF_ERROR(CompareWithEarlier(call, *own));
  }
  CROSSKEY_RETURN_IF_ERROR(pairing_.Refresh(call));
  const absl::StatusOr<PeerInfo> peer = transport_.Info(call);
  const absl::Status met = peer.ok() ? pairing_.Met(call, peer->who, peer->its_pair) : peer.status();
  if (!met.ok()) {
    const bool is_mismatch = errors::Is(met, errors::Reason::kPeerMismatch);
    const Parties parties = pairing_.Outgoing();
    history_.NoteReplaced(is_mismatch && parties.callee.id.empty() && peer.ok() && !peer->its_pair.empty() &&
                          peer->who.service == peer_ && peer->its_pair != parties.caller.id);
    std::lock_guard lock(mutex_);
    view_.asked = true;
    view_.answers = false;
    view_.is_mismatch = is_mismatch || pairing_.is_mismatch();
    return is_mismatch || !peer.ok() ? own.status() : met;
  }
  // The services have met, whether the own feed can be read or not.
  CROSSKEY_RETURN_IF_ERROR(own.status());
  CROSSKEY_ASSIGN_OR_RETURN(const std::vector<FeedPosition> positions, history_.Positions(call));
  const FeedPosition of_peer = PositionIn(peer->positions, own_);
  CROSSKEY_RETURN_IF_ERROR(history_.Compare(call, of_peer, own->feed_id));
  history_.NoteReplaced(false);
  const Sequence consumed = Within(PositionIn(positions, peer_), peer->feed);
  lag_.Set(static_cast<double>(std::max<int64_t>(0, Value(peer->feed.head) - Value(consumed))));

  std::lock_guard lock(mutex_);
  peer_progress_.Note(own->head, Within(of_peer, *own), now);
  own_progress_.Note(peer->feed.head, consumed, now);
  view_ = {true, true, false, view_.history_problem, of_peer, peer_progress_.until(), own_progress_.until()};
  return absl::OkStatus();
}

// A database may be restored while processes use it, although it must not.
absl::Status PeerWatch::CompareWithEarlier(const Call& call, const FeedInfo& own) {
  FeedInfo before;
  {
    std::lock_guard lock(mutex_);
    before = highest_;
  }
  if (own.feed_id == before.feed_id && own.head < before.head) {
    CROSSKEY_RETURN_IF_ERROR(
        history_.NoteLost(call, own.feed_id, [&](db::Connection&, const FeedInfo& now) -> absl::StatusOr<std::string> {
          if (now.head >= before.head) return "";
          return absl::StrCat("event ", Value(before.head), " was here, and the last one is ", Value(now.head));
        }));
  }
  std::lock_guard lock(mutex_);
  highest_ = own;
  return absl::OkStatus();
}

PeerWatch::View PeerWatch::view() const {
  std::lock_guard lock(mutex_);
  return view_;
}

}  // namespace crosskey::events
