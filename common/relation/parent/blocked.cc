#include "common/relation/parent/blocked.h"

namespace crosskey::relation {
namespace {

// The watch looks every 2 s, so what it has seen is a little old. A delay shorter than this is taken for normal.
constexpr absl::Duration kPatience = absl::Seconds(10);

}  // namespace

std::string Blocked::Reason(const Deletion& deletion) const {
  if (!IsUnderWay(deletion.state)) return "";
  const absl::Time now = now_();
  const absl::Time begun = absl::FromUnixMicros(deletion.create_time);
  const events::PeerWatch::View seen = watch_.view();
  if (begun > now - kPatience || !seen.asked) return deletion.blocked_reason;
  if (seen.is_mismatch) return "PEER_MISMATCH: another one than the paired " + peer_ + " answers at its address";
  if (!seen.history_problem.empty()) return "HISTORY_MISMATCH: " + seen.history_problem;
  if (deletion.state == DeletionState::kIntent && !deletion.blocked_reason.empty()) return deletion.blocked_reason;
  if (!seen.answers) {
    const bool visible = deletion.state == DeletionState::kPending;
    return peer_ + " does not answer" + (visible ? "; its rows stay visible until it is back" : "");
  }
  if (deletion.state == DeletionState::kIntent) return "";  // the recovery takes it up
  // The event of the deletion was published after `begun`. A peer that is not even through with what was published
  // before has not consumed it.
  if (seen.peer_caught_up < begun) return peer_ + " has not consumed the event of the deletion yet";
  // The peer reports the end of the reclaim by an event, and this service is late in consuming the peer's events.
  if (seen.own_caught_up < now - kPatience) return "the events of " + peer_ + " are not consumed in time";
  return "";
}

}  // namespace crosskey::relation
