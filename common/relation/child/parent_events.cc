#include "common/relation/child/parent_events.h"

#include <map>

#include "common/db/cluster_locks.h"
#include "common/relation/child/guard.h"
#include "common/relation/row_events.h"
#include "common/status/errors.h"

namespace crosskey::relation {

void ParentEvents::Consume(events::Consumer& consumer) const {
  using Kind = events::Consumer::Kind;
  if (table_.events.created != nullptr) {
    consumer.On(*table_.events.created, Kind::kHint, [this](events::Tx& tx, const events::Event&, const auto& payload) {
      return OnCreated(tx, ReadCreated(payload));
    });
  }
  consumer.On(*table_.events.deleted, Kind::kDeletion,
              [this](events::Tx& tx, const events::Event&, const auto& payload) {
                const Deleted deleted = ReadDeleted(payload);
                return OnDeleted(tx, deleted.rows, deleted.deletion_id);
              });
}

absl::Status ParentEvents::OnCreated(events::Tx& tx, const Row& parent) const {
  return AddReferences(tx.db(), sql_, {parent});
}

absl::Status ParentEvents::OnDeleted(events::Tx& tx, const std::vector<Row>& parents, DeletionId deletion_id) const {
  std::vector<RowId> ids;
  for (const Row& parent : parents) ids.push_back(parent.id);
  CROSSKEY_RETURN_IF_ERROR(LockReferences(tx.db(), table_, ids));
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, (tx.db().Query<RowId, std::string, ReferenceState>(sql_.lock_all, ids)));
  std::map<RowId, std::string> known;
  for (const auto& [id, uid, state] : rows) known[id] = uid;
  std::vector<RowId> referenced;
  std::vector<int64_t> absent;
  for (const Row& parent : parents) {
    const auto row = known.find(parent.id);
    if (row == known.end()) {
      Report(tx, parent, deletion_id);
      absent.push_back(Value(parent.id));
    } else {
      CROSSKEY_RETURN_IF_ERROR(CheckUid(table_, parent, row->second));
      referenced.push_back(parent.id);
    }
  }
  CROSSKEY_RETURN_IF_ERROR(db::ForgetInCluster(tx.db(), table_.table, absent));
  if (referenced.empty()) return absl::OkStatus();
  return tx.db().Execute(sql_.release, ReferenceState::kReclaiming, deletion_id, tx.traceparent(), referenced).status();
}

absl::Status ParentEvents::TakeOver(events::Tx& tx, const Row& parent, DeletionId deletion_id) const {
  CROSSKEY_RETURN_IF_ERROR(LockReferences(tx.db(), table_, {parent.id}));
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, (tx.db().Query<RowId, std::string, ReferenceState>(
                                                 sql_.lock_all, std::vector<RowId>{parent.id})));
  if (rows.empty() || std::get<1>(rows.front()) != parent.uid) {
    Report(tx, parent, deletion_id);
    return rows.empty() ? db::ForgetInCluster(tx.db(), table_.table, {Value(parent.id)}) : absl::OkStatus();
  }
  return tx.db().Execute(sql_.release, ReferenceState::kReclaiming, deletion_id, tx.traceparent(), parent.id).status();
}

// Reports that nothing refers to the parent. If no event is declared for that, its service expects no report.
void ParentEvents::Report(events::Tx& tx, const Row& parent, DeletionId deletion_id) const {
  if (table_.events.reclaimed == nullptr) return;
  Reclaimed reclaimed{deletion_id, parent, {}};
  for (const ChildTable& child : table_.children) reclaimed.rows[child.declaration.relationship] = 0;
  tx.Append(MakeReclaimed(*table_.events.reclaimed, errors::ResourceName(table_.parent_type, parent.id),
                          table_.parent_type, reclaimed));
}

}  // namespace crosskey::relation
