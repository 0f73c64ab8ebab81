#include "common/events/trim.h"

#include <algorithm>

#include "common/events/events_sql.h"
#include "common/status/limits.h"

namespace crosskey::events {
namespace {

struct Last {
  Sequence sequence{};
  std::string event_id;
};

}  // namespace

absl::StatusOr<int64_t> Trim::Round(const Call& call, const FeedPosition& consumed, absl::Time before) {
  CROSSKEY_ASSIGN_OR_RETURN(const FeedInfo info, feed_.Info(call));
  if (consumed.feed_id != info.feed_id || consumed.last_sequence <= info.floor) return 0;
  // The head was read after the position. So a position beyond it means that this database has lost events: it has been
  // restored from a backup.
  if (consumed.last_sequence > info.head) {
    return absl::FailedPreconditionError("the peer has consumed events that this log has never had");
  }
  const Sequence last = std::min(consumed.last_sequence, After(info.floor, limits::kTrimBatch));
  // Looks without a lock first, so that an idle service writes nothing.
  CROSSKEY_ASSIGN_OR_RETURN(
      const Last old, database_.Read(call, [&](db::Connection& connection) -> absl::StatusOr<Last> {
        CROSSKEY_ASSIGN_OR_RETURN(const auto rows,
                                  (connection.Query<Sequence, int64_t, std::string>(sql::kOldest, info.floor, last)));
        Last found{info.floor, ""};
        for (const auto& [sequence, time, event_id] : rows) {
          if (time >= absl::ToUnixMicros(before)) break;
          found = {sequence, event_id};
        }
        return found;
      }));
  const Sequence through = old.sequence;
  if (through == info.floor) return 0;

  return database_.Transact(call, "trim", [&](db::Tx& tx) -> absl::StatusOr<int64_t> {
    CROSSKEY_ASSIGN_OR_RETURN(const int64_t first, tx.Execute(sql::kRaiseFloor, through, info.feed_id, info.floor));
    if (first != 1) return 0;  // another process was faster
    CROSSKEY_RETURN_IF_ERROR(tx.Execute(sql::kFloorIs, through, old.event_id).status());
    return tx.Execute(sql::kTrim, info.floor, through);
  });
}

}  // namespace crosskey::events
