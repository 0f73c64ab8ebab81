// The read side of a service's event log.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/db/database.h"
#include "common/events/event.h"
#include "common/events/signal.h"

namespace crosskey::events {

struct FeedInfo {
  std::string feed_id;  // names this history
  int64_t head = 0;     // the last numbered event
};

// Thread-safe.
class Feed {
 public:
  Feed(db::Database& database, std::string source) : database_(database), source_(std::move(source)) {}

  // The head, for use inside another read or transaction. It is the highest *numbered* sequence.
  static absl::StatusOr<int64_t> Head(db::Connection& connection);

  // Gives the feed its name if it has none yet. To be called once at start.
  absl::Status EnsureNamed(const Call& call);
  absl::StatusOr<FeedInfo> Info(const Call& call);
  // The events after `after` in order: at most limits::kEventBatch of them and, beyond the first, at most 1 MiB of
  // payload.
  absl::StatusOr<std::vector<Event>> Read(const Call& call, int64_t after);

  // Notified when events were numbered.
  Signal& news() { return news_; }

 private:
  db::Database& database_;
  const std::string source_;
  Signal news_;
};

}  // namespace crosskey::events
