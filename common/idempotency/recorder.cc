#include "common/idempotency/recorder.h"

namespace crosskey::idempotency {

absl::Status Recorder::Store(db::Tx& tx) {
  if (!key_.has_value()) return absl::OkStatus();
  CROSSKEY_ASSIGN_OR_RETURN(const std::string form, answers_.Form(tx, answer_, asked_));
  CROSSKEY_ASSIGN_OR_RETURN(const int64_t time, answers_.Record(tx, *key_, form, replaced_));
  // Noted only after the commit: before, the transaction may still be undone, or its outcome may stay unknown.
  tx.OnCommit([this, stored = Stored{answer_.SerializeAsString(), time}] { stored_ = stored; });
  return absl::OkStatus();
}

bool Recorder::IsOutdated() {
  if (!key_.has_value()) return false;
  if (!stored_.has_value()) return true;
  if (stored_->answer == answer_.SerializeAsString()) return false;
  replaced_ = stored_->time;
  return true;
}

}  // namespace crosskey::idempotency
