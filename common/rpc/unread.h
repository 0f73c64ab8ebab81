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
// until the connection ends. This interceptor factory knows the answer of every unary call from the moment that it is
// sent until gRPC is done with the call. A call ends with RESOURCE_EXHAUSTED if its answer is not read for `longest`,
// and if all of them together are too many or too large, those that lie longest do. Who reads is seldom touched by
// that: what fits into the client's window lies for a few milliseconds. Streams have other bounds: gRPC does not tell
// when a message of theirs has been sent. Thread-safe.
class Unread {
 public:
  struct Bounds {
    absl::Duration longest = limits::kUnreadFor;
    size_t answers = limits::kUnreadAnswers;
    int64_t bytes = int64_t{limits::kUnreadMebibytes} * limits::kMebibyte;
  };
  Unread(const Bounds& bounds, prometheus::Counter& ended) : bounds_(bounds), ended_(ended) {}

  // An interceptor factory for one listener. `self` outlives the listener's calls.
  static std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> FactoryFor(
      std::shared_ptr<Unread> self);

  // Ends what has not been read for too long. To be called every now and then.
  void Sweep(absl::Time now);

 private:
  class Sent;  // the interceptor of one unary call

  struct Message {
    std::optional<CallRef> call;  // none: ended
    int64_t bytes;
    absl::Time since;
  };
  using Messages = std::list<Message>;  // the oldest first

  Messages::iterator Add(grpc::ServerContextBase& context, int64_t bytes);
  void Remove(Messages::iterator message);
  // Ends the calls of the oldest messages, as long as `goes` says so of the oldest.
  template <typename Goes>
  void EndOldest(const Goes& goes);

  const Bounds bounds_;
  prometheus::Counter& ended_;
  std::mutex mutex_;
  Messages waiting_;
  Messages gone_;      // ended, until gRPC is done with their calls
  int64_t bytes_ = 0;  // of those that wait
};

}  // namespace crosskey::rpc
