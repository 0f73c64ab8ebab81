// What every layer knows of the call that it works for.
#pragma once

#include <any>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/status/caller.h"
#include "common/status/errors.h"

namespace crosskey {

// A call that is attempted again and again holds no thread while it waits for the other service. What needs to know
// something of the other service looks whether `answer` says it. If not, it sets `ask` and ends the attempt with
// NeedsPeer, before anything is stored. Whoever runs the attempts then calls `ask`, which has to set `answer` and to
// call `again`, on any thread: that begins the next attempt.
struct Attempt {
  std::function<void(std::function<void()> again)> ask;
  std::any answer;
  int asked = 0;  // how often; whoever sets `ask` counts and bounds it
};

// One call, or one round of a background worker. Cheap to copy. Threads: may be read by one thread at a time.
struct Call {
  absl::Time deadline = absl::InfiniteFuture();
  // True once nobody waits for the result any more. Empty: never.
  std::function<bool()> cancelled;
  // W3C Trace Context; empty if the caller sent none.
  std::string traceparent;

  // Null: may wait for the other service by itself.
  Attempt* attempt = nullptr;

  // Null: this process itself, or the other service.
  std::shared_ptr<const Caller> caller = nullptr;

  // A call that this process makes by itself. Its deadline is `limit` from now.
  static Call Background(absl::Duration limit) { return Call{absl::Now() + limit, nullptr, "", nullptr, nullptr}; }

  // PERMISSION_DENIED: the caller may write in the name of another user only.
  absl::Status MayWriteFor(RowId user) const {
    const bool may = caller == nullptr || caller->user == 0 || caller->user == Value(user);
    return may ? absl::OkStatus() : errors::PermissionDenied("owner");
  }
  // The same for a write in the name of nobody.
  absl::Status MayWriteForAll() const { return MayWriteFor(RowId{}); }

  absl::Duration Remaining() const { return deadline - absl::Now(); }

  // CANCELLED or DEADLINE_EXCEEDED once it is of no use to go on. The database asks before each attempt at a
  // transaction or read, and before each COMMIT; loops over batches ask before each batch.
  absl::Status Check() const {
    if (cancelled && cancelled()) return absl::CancelledError("the caller has cancelled the call");
    if (Remaining() <= absl::ZeroDuration()) return absl::DeadlineExceededError("the call's deadline has passed");
    return absl::OkStatus();
  }
};

// The end of an attempt that needs an answer of the other service. Nothing is stored. Never reaches a client.
inline absl::Status NeedsPeer() {
  absl::Status status = absl::UnavailableError("the other service has to be asked");
  status.SetPayload("crosskey.NeedsPeer", absl::Cord());
  return status;
}
inline bool IsNeedsPeer(const absl::Status& status) { return status.GetPayload("crosskey.NeedsPeer").has_value(); }

}  // namespace crosskey
