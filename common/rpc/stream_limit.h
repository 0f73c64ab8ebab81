// Limits the open streams of services that are gRPC's own, reflection and health. Their calls do not go through
// rpc::Calls.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>

#include <grpcpp/support/server_interceptor.h>

#include "absl/time/time.h"
#include "common/rpc/call_ref.h"

namespace crosskey::rpc {

// An open stream of a synchronous service holds a thread even if it is idle, every other one some memory, and a limit
// for each connection does not bound them all. Without this a few clients could take all threads of a listener. So this
// interceptor factory counts the open calls whose method begins with `prefix`, and cancels those beyond `limit` as they
// begin, so that they hold a thread for a moment only. Their clients get CANCELLED. Thread-safe.
class StreamLimit {
 public:
  // `longest`: Sweep cancels calls that have been open for that long, so that idle ones do not keep others out.
  StreamLimit(std::string prefix, size_t limit, absl::Duration longest)
      : prefix_(std::move(prefix)), limit_(limit), longest_(longest) {}

  // An interceptor factory for one listener. `self` outlives the listener's calls.
  static std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> FactoryFor(
      std::shared_ptr<StreamLimit> self);

  // To be called every now and then.
  void Sweep(absl::Time now);

 private:
  class Place;

  struct Open {
    CallRef call;
    absl::Time since;
  };

  const std::string prefix_;
  const size_t limit_;
  const absl::Duration longest_;
  std::mutex mutex_;
  std::list<std::shared_ptr<const Open>> open_;
};

}  // namespace crosskey::rpc
