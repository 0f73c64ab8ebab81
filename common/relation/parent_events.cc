#include "common/relation/parent_events.h"

#include <map>

#include "common/relation/guard.h"
#include "common/status/errors.h"

namespace crosskey::relation {

absl::Status ParentEvents::OnCreated(events::Tx& tx, int64_t id, const std::string& uid) const {
  return AddReferences(tx.db(), sql_, {{id, uid, false}});
}

absl::Status ParentEvents::OnDeleted(events::Tx& tx, const std::vector<Removed>& parents, int64_t deletion_id) const {
  std::vector<int64_t> ids;
  for (const Removed& parent : parents) ids.push_back(parent.id);
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, (tx.db().Query<int64_t, std::string>(sql_.lock_all, ids)));
  std::map<int64_t, std::string> known;
  for (const auto& [id, uid] : rows) known[id] = uid;
  std::vector<int64_t> referenced;
  for (const Removed& parent : parents) {
    const auto row = known.find(parent.id);
    if (row == known.end()) {
      Report(tx, parent, deletion_id);
    } else if (row->second != parent.uid) {
      return absl::FailedPreconditionError(errors::ResourceName(table_.parent_type, parent.id) +
                                           " has another uid here");
    } else {
      referenced.push_back(parent.id);
    }
  }
  if (referenced.empty()) return absl::OkStatus();
  return tx.db()
      .Execute(sql_.release, static_cast<int64_t>(ReferenceState::kReclaiming), deletion_id, tx.traceparent(),
               referenced)
      .status();
}

// That nothing refers to it.
void ParentEvents::Report(events::Tx& tx, const Removed& parent, int64_t deletion_id) const {
  if (!table_.reclaimed_event) return;
  Reclaimed reclaimed{deletion_id, parent.id, parent.uid, {}};
  for (const ChildTable& child : table_.children) reclaimed.rows[child.declaration.relationship] = 0;
  tx.Append(table_.reclaimed_event(reclaimed));
}

}  // namespace crosskey::relation
