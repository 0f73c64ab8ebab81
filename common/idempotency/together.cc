#include "common/idempotency/together.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "common/status/errors.h"

namespace crosskey::idempotency {

Joint CommitIfAny(Outcomes outcomes) {
  const bool any = std::any_of(outcomes.begin(), outcomes.end(),
                               [](const auto& outcome) { return outcome.has_value() && outcome->ok(); });
  if (any) return outcomes;
  return db::RollBack<Outcomes>{std::move(outcomes)};
}

absl::StatusOr<Outcomes> OutcomesOf(absl::StatusOr<Joint> joint) {
  CROSSKEY_RETURN_IF_ERROR(joint.status());
  if (auto* undone = std::get_if<db::RollBack<Outcomes>>(&*joint)) return std::move(undone->finding);
  return std::get<Outcomes>(*std::move(joint));
}

bool IsFinal(const std::optional<absl::Status>& outcome, bool has_request_id) {
  return outcome.has_value() && (outcome->ok() || !has_request_id);
}

bool MayBeStored(const absl::Status& error) {
  // db::Database says so if the answer to the COMMIT was lost.
  return errors::Is(error, errors::Reason::kDatabaseUnavailable);
}

}  // namespace crosskey::idempotency
