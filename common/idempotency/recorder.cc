#include "common/idempotency/recorder.h"

namespace crosskey::idempotency {

absl::Status Recorder::Store(db::Tx& tx) {
  if (!key_.has_value()) return absl::OkStatus();
  std::string bytes = answer_.SerializeAsString();
  CROSSKEY_ASSIGN_OR_RETURN(const int64_t time, answers_.Record(tx, *key_, bytes, replaced_));
  // Noted only after the commit: before, the transaction may still be undone, or its outcome may stay unknown.
  tx.OnCommit([this, stored = Stored{std::move(bytes), time}] { stored_ = stored; });
  return absl::OkStatus();
}

bool Recorder::IsOutdated() {
  if (!key_.has_value()) return false;
  if (!stored_.has_value()) return true;
  if (stored_->bytes == answer_.SerializeAsString()) return false;
  replaced_ = stored_->time;
  return true;
}

}  // namespace crosskey::idempotency
