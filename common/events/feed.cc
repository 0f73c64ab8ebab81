#include "common/events/feed.h"

#include "common/events/events_sql.h"
#include "common/events/uuid.h"
#include "common/status/errors.h"
#include "common/status/limits.h"

namespace crosskey::events {

namespace {

absl::StatusOr<FeedInfo> ReadInfo(db::Connection& connection) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row, (connection.QueryOne<std::string, int64_t, int64_t>(sql::kInfo)));
  if (!row.has_value()) return absl::InternalError("the feed has no row");
  FeedInfo info;
  std::tie(info.feed_id, info.floor, info.head) = *row;
  return info;
}

}  // namespace

absl::StatusOr<int64_t> Feed::Head(db::Connection& connection) {
  CROSSKEY_ASSIGN_OR_RETURN(const FeedInfo info, ReadInfo(connection));
  return info.head;
}

absl::Status Feed::EnsureNamed(const Call& call) {
  return database_.Transact(call, "feed.name",
                            [&](db::Tx& tx) { return tx.Execute(sql::kNameFeed, NewUuid()).status(); });
}

absl::StatusOr<FeedInfo> Feed::Info(const Call& call) {
  FeedInfo info;
  CROSSKEY_RETURN_IF_ERROR(database_.Read(call, [&](db::Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(info, ReadInfo(connection));
    return absl::OkStatus();
  }));
  return info;
}

absl::StatusOr<std::vector<FeedPosition>> Feed::Positions(const Call& call) {
  std::vector<FeedPosition> positions;
  CROSSKEY_RETURN_IF_ERROR(database_.Read(call, [&](db::Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(auto rows, (connection.Query<std::string, std::string, int64_t>(sql::kPositions)));
    positions.clear();
    for (auto& [feed, feed_id, last] : rows) positions.push_back({std::move(feed), std::move(feed_id), last});
    return absl::OkStatus();
  }));
  return positions;
}

absl::StatusOr<std::optional<absl::Time>> Feed::OldestUnnumbered(const Call& call) {
  std::optional<absl::Time> oldest;
  CROSSKEY_RETURN_IF_ERROR(database_.Read(call, [&](db::Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const auto row, connection.QueryOne<int64_t>(sql::kOldestUnnumbered));
    oldest.reset();
    if (row.has_value()) oldest = absl::FromUnixMicros(std::get<0>(*row));
    return absl::OkStatus();
  }));
  return oldest;
}

absl::StatusOr<std::vector<Event>> Feed::Read(const Call& call, int64_t after) {
  std::vector<Event> events;
  CROSSKEY_RETURN_IF_ERROR(database_.Read(call, [&](db::Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(
        auto rows, (connection.Query<int64_t, std::string, std::string, std::string, int64_t, std::string, std::string>(
                       sql::kRead, after, limits::kEventBatch)));
    events.clear();
    // Anything missing at the beginning? Looked at after the events, so that none can have gone in between.
    if (rows.empty() || std::get<0>(rows.front()) != after + 1) {
      CROSSKEY_ASSIGN_OR_RETURN(const FeedInfo info, ReadInfo(connection));
      if (after < info.floor) return errors::EventsTrimmed(info.floor);
    }
    size_t bytes = 0;
    for (auto& [sequence, id, type, subject, time, traceparent, payload] : rows) {
      bytes += payload.size() + subject.size() + 300;
      if (!events.empty() && bytes > limits::kEventBatchBytes) break;
      events.push_back({sequence, std::move(id), source_, std::move(type), std::move(subject),
                        absl::FromUnixMicros(time), std::move(traceparent), std::move(payload)});
    }
    return absl::OkStatus();
  }));
  return events;
}

}  // namespace crosskey::events
