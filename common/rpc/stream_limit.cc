#include "common/rpc/stream_limit.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "common/rpc/interceptors.h"

namespace crosskey::rpc {

// The place of one call among the open ones. gRPC destroys it with the call, which frees the place.
class StreamLimit::Place : public grpc::experimental::Interceptor {
 public:
  Place(std::shared_ptr<StreamLimit> streams, grpc::ServerContextBase& context)
      : streams_(std::move(streams)), context_(context) {}
  ~Place() override {
    std::lock_guard lock(streams_->mutex_);
    if (place_.has_value()) streams_->open_.erase(*place_);
  }

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    using grpc::experimental::InterceptionHookPoints;
    // Before this, the context of a synchronous service does not know its call. If it is refused, the handler still
    // runs, but its first read fails and ends it.
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_INITIAL_METADATA) && !Take()) {
      context_.TryCancel();
    }
    methods->Proceed();
  }

 private:
  bool Take() {
    auto open = std::make_shared<const Open>(Open{CallRef(context_), absl::Now()});
    std::lock_guard lock(streams_->mutex_);
    place_ = streams_->open_.insert(streams_->open_.end(), std::move(open));
    return streams_->open_.size() <= streams_->limit_;
  }

  const std::shared_ptr<StreamLimit> streams_;
  grpc::ServerContextBase& context_;
  std::optional<std::list<std::shared_ptr<const Open>>::iterator> place_;
};

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> StreamLimit::FactoryFor(
    std::shared_ptr<StreamLimit> self) {
  using grpc::experimental::ServerRpcInfo;
  return InterceptorFactory([self = std::move(self)](ServerRpcInfo& info) -> grpc::experimental::Interceptor* {
    return absl::StartsWith(info.method(), self->prefix_) ? new Place(self, *info.server_context()) : nullptr;
  });
}

void StreamLimit::Sweep(absl::Time now) {
  std::vector<std::shared_ptr<const Open>> old;
  {
    std::lock_guard lock(mutex_);
    for (const auto& open : open_) {
      if (now - open->since > longest_) old.push_back(open);
    }
  }
  for (const auto& open : old) {
    open->call.End(GRPC_STATUS_CANCELLED, "the stream has been open for too long");
  }
}

}  // namespace crosskey::rpc
