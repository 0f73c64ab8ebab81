// How events come from a peer.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/events/event.h"
#include "common/events/feed.h"
#include "common/status/call.h"
#include "common/status/identity.h"

namespace crosskey::events {

struct PeerInfo {
  Instance who;          // empty: it does not say
  std::string its_pair;  // the id of the instance that it is paired with; empty: none, or it does not say
  FeedInfo feed;
  HistoryState state = HistoryState::kUnknown;  // of its own history
  std::vector<FeedPosition> positions;          // how far the peer has consumed the feeds of others
};

// A transport delivers one feed, from a position on, in order and without a gap; a batch may be delivered more than
// once (after a reconnection), never out of order. It keeps no position: the consumer's checkpoint is the only one.
// Events of other types than the wanted ones are left out and counted; a peer of an older version sends them as well.
class Transport {
 public:
  virtual ~Transport() = default;

  // Delivers batches, bookmarks included, until `deliver` returns an error (which is returned), the connection ends, or
  // Cancel is called. Blocks. An empty feed_id stands for any history, no types for all of them. If the feed does not
  // go on from there, the error has the publisher's reason (errors::ReasonOf).
  virtual absl::Status Stream(const FeedPosition& from, const std::vector<std::string>& types,
                              const std::function<absl::Status(const Batch&)>& deliver) = 0;

  // What the peer says about its feed now. UNAVAILABLE: no answer. Blocks for about a second at most. From any thread.
  virtual absl::StatusOr<PeerInfo> Info(const Call& call) = 0;

  // Ends the Stream that is running; every later Stream ends at once. From any thread.
  virtual void Cancel() = 0;
};

}  // namespace crosskey::events
