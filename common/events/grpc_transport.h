// Events from a peer's EventService.
#pragma once

#include <mutex>

#include <grpcpp/client_context.h>

#include "common/events/transport.h"
#include "common/rpc/channel.h"
#include "common/status/limits.h"

namespace crosskey::events {

class GrpcTransport final : public Transport {
 public:
  // A stream without a message for `silence` ends with UNAVAILABLE, because a live peer sends bookmarks more often.
  explicit GrpcTransport(rpc::PeerChannel channel, absl::Duration silence = 3 * limits::kBookmarkInterval)
      : channel_(std::move(channel)), silence_(silence) {}

  absl::Status Stream(const FeedPosition& from, const std::vector<std::string>& types,
                      const std::function<absl::Status(const Batch&)>& deliver) override;
  absl::StatusOr<PeerInfo> Info(const Call& call) override;
  void Cancel() override;

 private:
  const rpc::PeerChannel channel_;
  const absl::Duration silence_;
  std::mutex mutex_;
  grpc::ClientContext* running_ = nullptr;
  bool cancelled_ = false;
};

}  // namespace crosskey::events
