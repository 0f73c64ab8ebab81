#include "common/events/feed.h"

#include "common/events/events_sql.h"
#include "common/events/uuid.h"
#include "common/status/errors.h"
#include "common/status/limits.h"

namespace crosskey::events {

namespace {

absl::StatusOr<FeedInfo> ReadInfo(db::Connection& connection) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row, (connection.QueryOne<std::string, Sequence, Sequence>(sql::kInfo)));
  if (!row.has_value()) return absl::InternalError("the feed has no row");
  FeedInfo info;
  std::tie(info.feed_id, info.floor, info.head) = *row;
  return info;
}

}  // namespace

absl::StatusOr<Sequence> Feed::Head(db::Connection& connection) {
  CROSSKEY_ASSIGN_OR_RETURN(const FeedInfo info, ReadInfo(connection));
  return info.head;
}

absl::Status Feed::EnsureNamed(const Call& call) {
  return database_.Transact(call, "feed.name",
                            [&](db::Tx& tx) { return tx.Execute(sql::kNameFeed, NewUuid()).status(); });
}

bool Slice::is_full() const { return left_out + static_cast<int64_t>(events.size()) >= limits::kEventBatch; }

absl::StatusOr<FeedInfo> Feed::Info(const Call& call) { return database_.Read(call, ReadInfo); }

absl::StatusOr<std::vector<FeedPosition>> Feed::Positions(const Call& call) {
  return database_.Read(call, [](db::Connection& connection) -> absl::StatusOr<std::vector<FeedPosition>> {
    CROSSKEY_ASSIGN_OR_RETURN(auto rows, (connection.Query<std::string, std::string, Sequence>(sql::kPositions)));
    std::vector<FeedPosition> positions;
    for (auto& [feed, feed_id, last] : rows) positions.push_back({std::move(feed), std::move(feed_id), last});
    return positions;
  });
}

absl::StatusOr<std::optional<absl::Time>> Feed::OldestUnnumbered(const Call& call) {
  return database_.Read(call, [](db::Connection& connection) -> absl::StatusOr<std::optional<absl::Time>> {
    CROSSKEY_ASSIGN_OR_RETURN(const auto row, connection.QueryOne<int64_t>(sql::kOldestUnnumbered));
    if (!row.has_value()) return std::nullopt;
    return absl::FromUnixMicros(std::get<0>(*row));
  });
}

absl::StatusOr<Slice> Feed::Read(const Call& call, Sequence after, const std::vector<std::string>& types) {
  return database_.Read(call, [&](db::Connection& connection) -> absl::StatusOr<Slice> {
    CROSSKEY_ASSIGN_OR_RETURN(
        auto rows,
        (connection
             .Query<Sequence, std::string, std::string, std::string, int64_t, std::string, std::optional<std::string>>(
                 sql::kRead, static_cast<int64_t>(types.size()), types, after, limits::kEventBatch)));
    // The event after `after` is missing if there is none yet or if it has been trimmed. The floor is read after the
    // events, so that events that were trimmed in between cannot go unnoticed.
    if (rows.empty() || std::get<0>(rows.front()) != After(after)) {
      CROSSKEY_ASSIGN_OR_RETURN(const FeedInfo info, ReadInfo(connection));
      if (after < info.floor) return errors::EventsTrimmed(info.floor);
    }
    Slice slice;
    slice.through = after;
    size_t bytes = 0;
    for (auto& [sequence, id, type, subject, time, traceparent, payload] : rows) {
      if (payload.has_value()) {
        bytes += payload->size() + subject.size() + 300;
        if (!slice.events.empty() && bytes > limits::kEventBatchBytes) break;
        slice.events.push_back({sequence, std::move(id), source_, std::move(type), std::move(subject),
                                absl::FromUnixMicros(time), std::move(traceparent), *std::move(payload)});
      } else if (sequence != slice.through) {  // a number that was given twice must not make up for a missing one
        ++slice.left_out;
      }
      slice.through = sequence;
    }
    return slice;
  });
}

}  // namespace crosskey::events
