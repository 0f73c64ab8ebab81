#include "common/events/feed.h"

#include <algorithm>

#include "absl/types/span.h"
#include "common/events/events_sql.h"
#include "common/events/proven.h"
#include "common/events/uuid.h"
#include "common/status/errors.h"
#include "common/status/limits.h"

namespace crosskey::events {
namespace {

// Whether a subscriber stores it.
template <typename Value>
bool IsVerdict(const absl::StatusOr<Value>& answer) {
  const errors::Reason reason = errors::ReasonOf(answer.status());
  return reason == errors::Reason::kHistoryMismatch || reason == errors::Reason::kFeedMismatch ||
         reason == errors::Reason::kEventsTrimmed;
}

}  // namespace

absl::Status Feed::Mismatch(const std::string& why) const {
  return errors::HistoryMismatch(source_, "the subscriber has " + why);
}

absl::StatusOr<FeedInfo> Feed::Read(db::Connection& connection) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row, (connection.QueryOne<std::string, Sequence, Sequence>(sql::kInfo)));
  if (!row.has_value()) return absl::InternalError("the feed has no row");
  FeedInfo info;
  std::tie(info.feed_id, info.floor, info.head) = *row;
  return info;
}

absl::Status Feed::EnsureNamed(const Call& call) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row, database_.Read(call, [](db::Connection& connection) {
    return connection.QueryOne<std::string>(sql::kFeedId);
  }));
  // Also where the database takes no changes now.
  if (row.has_value() && !std::get<0>(*row).empty()) return absl::OkStatus();
  return database_.Transact(call, "feed.name",
                            [&](db::Tx& tx) { return tx.Execute(sql::kNameFeed, NewUuid()).status(); });
}

bool Slice::is_full() const { return left_out + static_cast<int64_t>(events.size()) >= limits::kEventBatch; }

absl::StatusOr<FeedInfo> Feed::Info(const Call& call) {
  return database_.Read(call, [](db::Connection& connection) { return Read(connection); });
}

absl::StatusOr<FeedInfo> Feed::Begin(const Call& call, Sequence after, const std::string& feed_id,
                                     const std::string& event_id) {
  const auto body = [&](db::Connection& connection) -> absl::StatusOr<FeedInfo> {
    CROSSKEY_ASSIGN_OR_RETURN(FeedInfo info, Read(connection));
    if (!feed_id.empty() && feed_id != info.feed_id) return errors::FeedMismatch(info.feed_id);
    if (after < Sequence{} || (feed_id.empty() && after > info.head)) {
      return errors::InvalidField("after_sequence", "must not be negative or beyond the head of the feed");
    }
    // Whether this service has lost it, or the subscriber is mistaken, the watch of the peer finds out.
    CROSSKEY_ASSIGN_OR_RETURN(const std::string why, WhyNotThere(connection, info, after, event_id));
    if (!why.empty()) return Mismatch(why);
    return info;
  };
  return ReadProven(database_, call, body, IsVerdict<FeedInfo>);
}

absl::StatusOr<std::optional<absl::Time>> Feed::OldestUnnumbered(const Call& call) {
  return database_.Read(call, [](db::Connection& connection) -> absl::StatusOr<std::optional<absl::Time>> {
    CROSSKEY_ASSIGN_OR_RETURN(const auto row, connection.QueryOne<int64_t>(sql::kOldestUnnumbered));
    if (!row.has_value()) return std::nullopt;
    return absl::FromUnixMicros(std::get<0>(*row));
  });
}

absl::StatusOr<Slice> Feed::Read(const Call& call, Sequence after, const std::vector<std::string>& types,
                                 const std::string& feed_id, const std::string& event_id) {
  const auto body = [&](db::Connection& connection) -> absl::StatusOr<Slice> {
    CROSSKEY_ASSIGN_OR_RETURN(
        auto rows,
        (connection
             .Query<Sequence, std::string, std::string, std::string, int64_t, std::string, std::optional<std::string>>(
                 sql::kRead, static_cast<int64_t>(types.size()), types, after, limits::kEventBatch + 1)));
    auto next = absl::MakeSpan(rows);
    if (!next.empty() && std::get<0>(next.front()) == after) {
      const std::string& actual = std::get<1>(next.front());
      if (!event_id.empty() && actual != event_id) return Mismatch(OtherEvent(after, event_id, actual));
      next.remove_prefix(1);
    }
    next = next.first(std::min<size_t>(next.size(), limits::kEventBatch));
    // The event after `after` is missing if there is none yet or if it has been trimmed. The floor is read after the
    // events, so that events that were trimmed in between cannot go unnoticed.
    if (next.empty() || std::get<0>(next.front()) != After(after)) {
      CROSSKEY_ASSIGN_OR_RETURN(const FeedInfo info, Read(connection));
      if (!feed_id.empty() && feed_id != info.feed_id) return errors::FeedMismatch(info.feed_id);
      if (after < info.floor) return errors::EventsTrimmed(info.floor);
      CROSSKEY_ASSIGN_OR_RETURN(const std::string why, WhyNotThere(connection, info, after, event_id));
      if (!why.empty()) return Mismatch(why);
    }
    Slice slice;
    slice.through = after;
    size_t bytes = 0;
    for (auto& [sequence, id, type, subject, time, traceparent, payload] : next) {
      std::string last_id = id;
      if (payload.has_value()) {
        bytes += payload->size() + subject.size() + 300;
        if (!slice.events.empty() && bytes > limits::kEventBatchBytes) break;
        slice.events.push_back({sequence, std::move(id), source_, std::move(type), std::move(subject),
                                absl::FromUnixMicros(time), std::move(traceparent), *std::move(payload)});
      } else if (sequence != slice.through) {  // a number that was given twice must not make up for a missing one
        ++slice.left_out;
      }
      slice.through = sequence;
      slice.through_id = std::move(last_id);
    }
    return slice;
  };
  return ReadProven(database_, call, body, IsVerdict<Slice>);
}

}  // namespace crosskey::events
