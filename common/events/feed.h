// The read side of a service's event log.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/db/database.h"
#include "common/events/event.h"
#include "common/events/signal.h"

namespace crosskey::events {

struct FeedInfo {
  std::string feed_id;  // names this history
  Sequence floor{};     // the last event that has been removed; 0: none
  Sequence head{};      // the last numbered event
};

// How far somebody has consumed a feed.
struct FeedPosition {
  std::string feed;     // the service that publishes it
  std::string feed_id;  // of its history; empty: nothing has been consumed yet
  Sequence last_sequence{};
};

// Thread-safe.
class Feed {
 public:
  Feed(db::Database& database, std::string source) : database_(database), source_(std::move(source)) {}

  // The head, for use inside another read or transaction. It is the highest *numbered* sequence.
  static absl::StatusOr<Sequence> Head(db::Connection& connection);

  // Gives the feed its name if it has none yet. To be called once at start.
  absl::Status EnsureNamed(const Call& call);
  absl::StatusOr<FeedInfo> Info(const Call& call);
  // The events after `after` in order: at most limits::kEventBatch of them and, beyond the first, at most 1 MiB of
  // payload. OUT_OF_RANGE EVENTS_TRIMMED: some of them are no longer kept.
  absl::StatusOr<std::vector<Event>> Read(const Call& call, Sequence after);
  // How far this service has consumed the feeds of others.
  absl::StatusOr<std::vector<FeedPosition>> Positions(const Call& call);
  // When the oldest event was appended that has no number yet; nullopt: all have one.
  absl::StatusOr<std::optional<absl::Time>> OldestUnnumbered(const Call& call);

  // Notified when events were numbered.
  Signal& news() { return news_; }

 private:
  db::Database& database_;
  const std::string source_;
  Signal news_;
};

}  // namespace crosskey::events
