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

// How far a service has consumed the feed of another one.
struct FeedPosition {
  std::string feed;     // the service that publishes it
  std::string feed_id;  // the history of last_sequence; empty: nothing has been consumed yet
  Sequence last_sequence{};
};

// A part of the feed, as one reader wants it.
struct Slice {
  Sequence through{};         // where it ends; where it begins if there is nothing
  std::vector<Event> events;  // of the wanted types
  int64_t left_out = 0;       // events of other types

  // There may be more than was read.
  bool is_full() const;
};

// Thread-safe.
class Feed {
 public:
  Feed(db::Database& database, std::string source) : database_(database), source_(std::move(source)) {}

  // Reads the head inside another read or transaction. It is the last number that was given, never the highest id of
  // the outbox: ids run ahead of numbers, and a lookup would then cover deletions that are still to be numbered.
  static absl::StatusOr<Sequence> Head(db::Connection& connection);

  // Gives the feed its name if it has none yet. To be called once at start.
  absl::Status EnsureNamed(const Call& call);
  absl::StatusOr<FeedInfo> Info(const Call& call);
  // The events after `after` in order: at most limits::kEventBatch, whether they are of the wanted types or not, and at
  // most limits::kEventBatchBytes, unless only one is wanted. No types stand for all. OUT_OF_RANGE EVENTS_TRIMMED: some
  // events after `after` are no longer kept.
  absl::StatusOr<Slice> Read(const Call& call, Sequence after, const std::vector<std::string>& types = {});
  // How far this service has consumed the feeds of others.
  absl::StatusOr<std::vector<FeedPosition>> Positions(const Call& call);
  // When the oldest event without a number was appended; nullopt: all events have one.
  absl::StatusOr<std::optional<absl::Time>> OldestUnnumbered(const Call& call);

  // Wakes the streams that wait for new events. Whoever has numbered events notifies it.
  Signal& news() { return news_; }

 private:
  db::Database& database_;
  const std::string source_;
  Signal news_;
};

}  // namespace crosskey::events
