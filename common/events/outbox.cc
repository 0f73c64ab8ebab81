#include "common/events/outbox.h"

#include "common/events/events_sql.h"
#include "common/events/uuid.h"

namespace crosskey::events {

absl::Status Outbox::Store(Tx& tx) {
  if (tx.drafts_.empty()) return absl::OkStatus();
  const int64_t now = absl::ToUnixMicros(absl::Now());
  std::vector<std::vector<db::Argument>> rows;
  rows.reserve(tx.drafts_.size());
  for (const Draft& draft : tx.drafts_) {
    rows.push_back({NewUuid(), draft.type, draft.subject, now, draft.traceparent, draft.payload});
  }
  CROSSKEY_RETURN_IF_ERROR(tx.db().ExecuteRows(sql::kAppend, rows).status());
  if (on_append_) tx.OnCommit(on_append_);
  return absl::OkStatus();
}

}  // namespace crosskey::events
