// Answers that clients have not read.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>

#include <grpcpp/support/server_interceptor.h>

#include "absl/time/time.h"
#include "common/rpc/call_ref.h"
#include "common/status/limits.h"
#include "common/telemetry/metrics.h"

namespace crosskey::rpc {

// A client whose flow-control window is closed lets its answers lie in this process. gRPC keeps them, and the call,
// until the connection ends. This interceptor factory knows every message that a listener is sending. A call is
// cancelled if its message is not read for `longest`, and if all of them together are too many or too large, those that
// lie longest are. Who reads is not touched by that: an answer that is read lies for a few milliseconds. Thread-safe.
class Unread {
 public:
  struct Bounds {
    absl::Duration longest = limits::kUnreadFor;
    size_t answers = limits::kUnreadAnswers;
    int64_t bytes = int64_t{limits::kUnreadMebibytes} * limits::kMebibyte;
  };
  Unread(const Bounds& bounds, prometheus::Counter& cancelled) : bounds_(bounds), cancelled_(cancelled) {}

  // An interceptor factory for one listener. `self` outlives the listener's calls.
  static std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> FactoryFor(
      std::shared_ptr<Unread> self);

  // Cancels what has not been read for too long. To be called every now and then.
  void Sweep(absl::Time now);

 private:
  class Sent;  // the interceptor of one call

  struct Message {
    std::optional<CallRef> call;  // none: cancelled
    int64_t bytes;
    absl::Time since;
  };
  using Messages = std::list<Message>;  // the oldest first

  Messages::iterator Add(grpc::ServerContextBase& context, int64_t bytes);
  void Remove(Messages::iterator message);
  // Cancels the calls of the oldest messages, as long as `goes` says so of the oldest.
  template <typename Goes>
  void CancelOldest(const Goes& goes);

  const Bounds bounds_;
  prometheus::Counter& cancelled_;
  std::mutex mutex_;
  Messages waiting_;
  Messages gone_;      // cancelled, until their calls have ended
  int64_t bytes_ = 0;  // of those that wait
};

}  // namespace crosskey::rpc
