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

// Whether a history goes on. The numbers are stored, and those of event.v1.HistoryState.
enum class HistoryState { kUnknown = 0, kGoesOn = 1, kMismatch = 2, kRepairing = 3, kRestored = 4 };

// The latest of what a service has seen of the rows of one type of another one: see event.v1.SeenRows.
struct Seen {
  std::string type;  // "user.v1.User"
  RowId id{};
  std::string uid = {};
  DeletionId deletion_id{};
  std::string deletion_uid = {};
};

// How far a service has consumed the feed of another one, and what else it has seen of that service.
struct FeedPosition {
  std::string feed;     // the service that publishes it
  std::string feed_id;  // the history of last_sequence; empty: nothing has been consumed yet
  Sequence last_sequence{};
  std::string event_id = {};  // of the event at last_sequence; empty: not known
  HistoryState state = HistoryState::kGoesOn;
  std::vector<Seen> seen = {};
};

// A part of the feed, as one reader wants it.
struct Slice {
  Sequence through{};         // where it ends; where it begins if there is nothing
  std::string through_id;     // of the event there; empty if there is nothing
  std::vector<Event> events;  // of the wanted types
  int64_t left_out = 0;       // events of other types

  // There may be more than was read.
  bool is_full() const;
};

// Thread-safe.
class Feed {
 public:
  Feed(db::Database& database, std::string source) : database_(database), source_(std::move(source)) {}

  // Reads name and head inside another read or transaction. The head is the last number that was given, never the
  // highest id of the outbox: ids run ahead of numbers, and a lookup would then cover deletions that are still to be
  // numbered.
  static absl::StatusOr<FeedInfo> Read(db::Connection& connection);

  // Gives the feed its name if it has none yet. To be called once at start.
  absl::Status EnsureNamed(const Call& call);
  absl::StatusOr<FeedInfo> Info(const Call& call);
  // The events after `after` in order: at most limits::kEventBatch, whether they are of the wanted types or not, and at
  // most limits::kEventBatchBytes, unless only one is wanted. No types stand for all. OUT_OF_RANGE EVENTS_TRIMMED: some
  // events after `after` are no longer kept.
  //
  // A reader that goes on from slice to slice says which history it has read, so that it neither waits for one that
  // has ended nor goes on in another one. FAILED_PRECONDITION: FEED_MISMATCH: nothing follows, and the feed has another
  // name than `feed_id`. HISTORY_MISMATCH: the event at `after` is not `event_id`, or the head is before it. What is
  // empty is not compared. These three, and EVENTS_TRIMMED, are proven (proven.h).
  absl::StatusOr<Slice> Read(const Call& call, Sequence after, const std::vector<std::string>& types = {},
                             const std::string& feed_id = "", const std::string& event_id = "");
  // The feed as it is, for a reader that has read up to `after`. FAILED_PRECONDITION as with Read, even if something
  // follows; also if the feed has another name. INVALID_ARGUMENT: a reader that knows no history is beyond the head.
  absl::StatusOr<FeedInfo> Begin(const Call& call, Sequence after, const std::string& feed_id,
                                 const std::string& event_id);
  // When the oldest event without a number was appended; nullopt: all events have one.
  absl::StatusOr<std::optional<absl::Time>> OldestUnnumbered(const Call& call);

  // Wakes the streams that wait for new events. Whoever has numbered events notifies it.
  Signal& news() { return news_; }

 private:
  absl::Status Mismatch(const std::string& why) const;

  db::Database& database_;
  const std::string source_;
  Signal news_;
};

// "event 7 is ONE there and ANOTHER here"
std::string OtherEvent(Sequence sequence, const std::string& there, const std::string& here);

// Says why this feed cannot be the one whose event at `sequence` has this id. Empty: it can be, as far as it still has
// events. `own` is the feed as it was read a moment ago, after whoever compares has learned of the event. An empty
// `event_id` compares with the head alone. (Technique: log matching, Ongaro and Ousterhout, "In Search of an
// Understandable Consensus Algorithm", 2014.)
absl::StatusOr<std::string> WhyNotThere(db::Connection& connection, const FeedInfo& own, Sequence sequence,
                                        const std::string& event_id);

}  // namespace crosskey::events
