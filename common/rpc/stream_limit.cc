#include "common/rpc/stream_limit.h"

#include <grpcpp/server_context.h>

#include "absl/strings/match.h"

namespace crosskey::rpc {
namespace {

// The place of one call among the open ones. gRPC destroys it with the call, which frees the place.
class Place : public grpc::experimental::Interceptor {
 public:
  Place(std::shared_ptr<std::atomic<int>> open, int limit, grpc::ServerContextBase& context)
      : open_(std::move(open)), refused_(++*open_ > limit), context_(context) {}
  ~Place() override { --*open_; }

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    // The handler still runs, but its first read fails and ends it.
    if (refused_ &&
        methods->QueryInterceptionHookPoint(grpc::experimental::InterceptionHookPoints::POST_RECV_INITIAL_METADATA)) {
      context_.TryCancel();
    }
    methods->Proceed();
  }

 private:
  const std::shared_ptr<std::atomic<int>> open_;
  const bool refused_;
  grpc::ServerContextBase& context_;
};

}  // namespace

grpc::experimental::Interceptor* StreamLimit::CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) {
  if (!absl::StartsWith(info->method(), prefix_)) return nullptr;
  return new Place(open_, limit_, *info->server_context());  // gRPC owns it from here on
}

}  // namespace crosskey::rpc
