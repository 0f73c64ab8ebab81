#include "common/events/outbox.h"

#include "common/events/events_sql.h"
#include "common/events/uuid.h"

namespace crosskey::events {

absl::Status Outbox::Transact(const Call& call, const char* name, const std::function<absl::Status(Tx&)>& body) {
  bool appended = false;
  std::vector<std::function<void()>> on_commit;
  const absl::Status status = database_.Transact(call, name, [&](db::Tx& db) -> absl::Status {
    Tx tx(db, call.traceparent);
    CROSSKEY_RETURN_IF_ERROR(body(tx));
    on_commit = std::move(tx.on_commit_);
    if (call.record) CROSSKEY_RETURN_IF_ERROR(call.record(db));
    appended = !tx.drafts_.empty();
    if (!appended) return absl::OkStatus();
    const int64_t now = absl::ToUnixMicros(absl::Now());
    std::vector<std::vector<db::Argument>> rows;
    rows.reserve(tx.drafts_.size());
    for (const Draft& draft : tx.drafts_) {
      rows.push_back({NewUuid(), draft.type, draft.subject, now, draft.traceparent, draft.payload});
    }
    return db.ExecuteRows(sql::kAppend, rows).status();
  });
  if (!status.ok() && call.not_recorded) call.not_recorded();
  if (!status.ok()) return status;
  for (const auto& then : on_commit) then();
  if (appended && on_append_) on_append_();
  return status;
}

}  // namespace crosskey::events
