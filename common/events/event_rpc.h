// event.v1.EventService: the feed over gRPC.
#pragma once

#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "common/events/feed.h"
#include "common/rpc/calls.h"
#include "event/v1/event_service.grpc.pb.h"

namespace crosskey::events {

// Serves at most limits::kFeedSubscribers streams at a time; one more gets RESOURCE_EXHAUSTED OVERLOADED. Streams end
// with UNAVAILABLE DRAINING once the admission ends streams or drains. One thread feeds all streams, so a stream whose
// client does not read holds one batch and no thread.
class EventRpc final : public event::v1::EventService::CallbackService {
 public:
  EventRpc(Feed& feed, std::shared_ptr<rpc::Admission> admission, rpc::CallLines& lines, telemetry::Metrics& metrics);
  // The listener must have been shut down.
  ~EventRpc() override;

  grpc::ServerWriteReactor<event::v1::SubscribeResponse>* Subscribe(
      grpc::CallbackServerContext* context, const event::v1::SubscribeRequest* request) override;
  grpc::ServerUnaryReactor* GetFeedInfo(grpc::CallbackServerContext* context,
                                        const event::v1::GetFeedInfoRequest* request,
                                        event::v1::GetFeedInfoResponse* response) override;

 private:
  class Stream;

  void FeedAll();
  absl::Status FeedNext(Stream& stream);

  Feed& feed_;
  rpc::Calls calls_;
  std::mutex mutex_;                              // guards the two below
  std::vector<std::shared_ptr<Stream>> streams_;  // those that have not ended
  bool stopping_ = false;
  std::thread feeder_;  // declared last, because it uses the other members
};

}  // namespace crosskey::events
