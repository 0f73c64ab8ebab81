#include "common/relation/parent_events.h"

#include "common/relation/guard.h"
#include "common/status/errors.h"

namespace crosskey::relation {

absl::Status ParentEvents::OnCreated(events::Tx& tx, int64_t id, const std::string& uid) const {
  return AddReferences(tx.db(), sql_, {{id, uid, false}});
}

absl::Status ParentEvents::OnDeleted(events::Tx& tx, int64_t id, const std::string& uid, int64_t deletion_id) const {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row, (tx.db().QueryOne<std::string, int64_t, int64_t, int64_t>(sql_.lock, id)));
  if (!row.has_value()) {
    Reclaimed reclaimed{deletion_id, id, uid, {}};
    for (const ChildTable& child : table_.children) reclaimed.rows[child.declaration.relationship] = 0;
    tx.Append(table_.reclaimed_event(reclaimed));
    return absl::OkStatus();
  }
  if (std::get<0>(*row) != uid) {
    return absl::FailedPreconditionError(errors::ResourceName(table_.parent_type, id) + " has another uid here");
  }
  return tx.db().Execute(sql_.release, static_cast<int64_t>(ReferenceState::kReclaiming), deletion_id, id).status();
}

}  // namespace crosskey::relation
