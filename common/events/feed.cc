#include "common/events/feed.h"

#include "common/events/events_sql.h"
#include "common/events/uuid.h"
#include "common/status/limits.h"

namespace crosskey::events {

absl::StatusOr<int64_t> Feed::Head(db::Connection& connection) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row, (connection.QueryOne<std::string, int64_t>(sql::kInfo)));
  if (!row.has_value()) return absl::InternalError("the feed has no row");
  return std::get<1>(*row);
}

absl::Status Feed::EnsureNamed(const Call& call) {
  return database_.Transact(call, "feed.name",
                            [&](db::Tx& tx) { return tx.Execute(sql::kNameFeed, NewUuid()).status(); });
}

absl::StatusOr<FeedInfo> Feed::Info(const Call& call) {
  FeedInfo info;
  CROSSKEY_RETURN_IF_ERROR(database_.Read(call, [&](db::Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const auto row, (connection.QueryOne<std::string, int64_t>(sql::kInfo)));
    if (!row.has_value()) return absl::InternalError("the feed has no row");
    std::tie(info.feed_id, info.head) = *row;
    return absl::OkStatus();
  }));
  return info;
}

absl::StatusOr<std::vector<Event>> Feed::Read(const Call& call, int64_t after) {
  std::vector<Event> events;
  CROSSKEY_RETURN_IF_ERROR(database_.Read(call, [&](db::Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(
        auto rows, (connection.Query<int64_t, std::string, std::string, std::string, int64_t, std::string, std::string>(
                       sql::kRead, after, limits::kEventBatch)));
    events.clear();
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
