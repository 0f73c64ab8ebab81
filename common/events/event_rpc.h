// event.v1.EventService: the feed over gRPC.
#pragma once

#include <atomic>

#include "common/events/feed.h"
#include "common/rpc/calls.h"
#include "event/v1/event_service.grpc.pb.h"

namespace crosskey::events {

// Serves at most limits::kFeedSubscribers streams at a time; one more gets RESOURCE_EXHAUSTED OVERLOADED. Streams end
// with UNAVAILABLE DRAINING once the admission ends streams or drains.
class EventRpc final : public event::v1::EventService::Service {
 public:
  EventRpc(Feed& feed, std::shared_ptr<rpc::Admission> admission, telemetry::Metrics& metrics)
      : feed_(feed), calls_("event.v1.EventService", std::move(admission), metrics) {}

  grpc::Status Subscribe(grpc::ServerContext* context, const event::v1::SubscribeRequest* request,
                         grpc::ServerWriter<event::v1::SubscribeResponse>* writer) override;
  grpc::Status GetFeedInfo(grpc::ServerContext* context, const event::v1::GetFeedInfoRequest* request,
                           event::v1::GetFeedInfoResponse* response) override;

 private:
  absl::Status Follow(const Call& call, const event::v1::SubscribeRequest& request,
                      grpc::ServerWriter<event::v1::SubscribeResponse>& writer);

  Feed& feed_;
  rpc::Calls calls_;
  std::atomic<int> subscribers_ = 0;
};

}  // namespace crosskey::events
