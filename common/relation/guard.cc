#include "common/relation/guard.h"

#include <algorithm>
#include <map>

#include "common/events/events_sql.h"
#include "common/fault/fault.h"
#include "common/status/limits.h"

namespace crosskey::relation {
namespace {

// Ends a transaction that has found out what it cannot do; never leaves this file.
absl::Status Leave() { return absl::UnknownError("leave the transaction"); }

}  // namespace

absl::StatusOr<bool> PassesFence(db::Tx& tx, const std::string& feed, int64_t as_of_sequence) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row, tx.QueryOne<int64_t>(events::sql::kLastDeletion, feed));
  if (!row.has_value()) return absl::InternalError("no checkpoint row for the feed " + feed);
  return std::get<0>(*row) <= as_of_sequence || fault::Without(fault::Guard::kFence);
}

absl::Status AddReferences(db::Tx& tx, const ReferenceSql& sql, const std::vector<Found>& parents) {
  std::vector<std::vector<db::Argument>> rows;
  for (const Found& parent : parents) {
    rows.push_back({parent.id, parent.uid, static_cast<int64_t>(ReferenceState::kActive)});
  }
  CROSSKEY_RETURN_IF_ERROR(tx.ExecuteRows(sql.add, rows).status());
  if (!fault::Without(fault::Guard::kAddOnlyIfAbsent)) return absl::OkStatus();
  for (const Found& parent : parents) {
    CROSSKEY_RETURN_IF_ERROR(
        tx.Execute(sql.release, static_cast<int64_t>(ReferenceState::kActive), int64_t{0}, std::string(), parent.id)
            .status());
  }
  return absl::OkStatus();
}

absl::StatusOr<LookupAnswer> Guard::LookUp(const Call& call, const std::string& relationship,
                                           const std::vector<int64_t>& ids) {
  CROSSKEY_ASSIGN_OR_RETURN(LookupAnswer answer, peer_.Lookup(call, table_.parent_type, ids));
  std::map<int64_t, bool> deleting;
  for (const Found& found : answer.found) deleting[found.id] = found.deleting;
  std::vector<errors::MissingReference> missing;
  for (const int64_t id : ids) {
    if (deleting.count(id) == 0) missing.push_back({relationship, table_.parent_type, id});
  }
  if (!missing.empty()) return errors::ForeignKeyViolation(missing);
  for (const auto& [id, is_deleting] : deleting) {
    if (is_deleting) return errors::ParentDeleting(table_.parent_type, id);
  }
  return answer;
}

// Adds what `answer` brought, then locks all parents. kUnknown: `unknown` is to be looked up.
absl::StatusOr<Guard::Missing> Guard::Lock(events::Tx& tx, const std::string& relationship,
                                           const std::vector<int64_t>& parents, const LookupAnswer& answer,
                                           std::vector<int64_t>& unknown) {
  if (!answer.found.empty()) {
    CROSSKEY_ASSIGN_OR_RETURN(const bool passes, PassesFence(tx.db(), table_.feed, answer.as_of_sequence));
    if (!passes) return Missing::kFenced;
    CROSSKEY_RETURN_IF_ERROR(AddReferences(tx.db(), sql_, answer.found));
  }
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, (tx.db().Query<int64_t, int64_t>(sql_.lock_shared, parents)));
  std::map<int64_t, ReferenceState> states;
  for (const auto& [id, state] : rows) states[id] = static_cast<ReferenceState>(state);
  std::vector<errors::MissingReference> released;
  for (const int64_t id : parents) {
    const auto found = states.find(id);
    if (found == states.end()) {
      unknown.push_back(id);
    } else if (found->second != ReferenceState::kActive && !fault::Without(fault::Guard::kStateCheck)) {
      released.push_back({relationship, table_.parent_type, id});
    }
  }
  if (!released.empty()) return errors::ForeignKeyViolation(released);
  return unknown.empty() ? Missing::kNone : Missing::kUnknown;
}

absl::Status Guard::Write(const Call& call, const std::string& relationship, std::vector<int64_t> parents,
                          const std::function<absl::Status(events::Tx&)>& body, Unknown if_unknown) {
  std::sort(parents.begin(), parents.end());
  parents.erase(std::unique(parents.begin(), parents.end()), parents.end());

  LookupAnswer answer;  // empty: the common case, all references are known
  for (int round = 0; round <= limits::kConsistencyRounds; ++round) {
    Missing missing = Missing::kNone;
    std::vector<int64_t> unknown;
    const absl::Status status = outbox_.Transact(call, "guarded_write", [&](events::Tx& tx) -> absl::Status {
      unknown.clear();
      CROSSKEY_ASSIGN_OR_RETURN(missing, Lock(tx, relationship, parents, answer, unknown));
      if (missing != Missing::kNone) return Leave();
      CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kGuardLocked));
      return body(tx);
    });
    if (status.ok() || missing == Missing::kNone) return status;
    if (round == limits::kConsistencyRounds) break;
    if (if_unknown == Unknown::kMissing) {
      return errors::ForeignKeyViolation({{relationship, table_.parent_type, unknown.front()}});
    }
    // No session is held from here on.
    if (missing == Missing::kFenced) {
      for (const Found& found : answer.found) unknown.push_back(found.id);
    }
    CROSSKEY_ASSIGN_OR_RETURN(answer, LookUp(call, relationship, unknown));
  }
  return errors::Conflict();
}

}  // namespace crosskey::relation
