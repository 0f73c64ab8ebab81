// event.v1.EventService: the feed over gRPC.
#pragma once

#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "common/events/feed.h"
#include "common/events/history.h"
#include "common/rpc/calls.h"
#include "common/status/limits.h"
#include "event/v1/event_service.grpc.pb.h"

namespace crosskey::events {

// Serves at most limits::kFeedSubscribers streams at a time; one more gets RESOURCE_EXHAUSTED OVERLOADED. Streams end
// with UNAVAILABLE DRAINING once the admission ends streams or drains. One thread feeds all streams, so a stream whose
// client does not read holds one batch and no thread.
//
// A subscriber that does not say who it is may be somebody else than the other service, who only reads. One that says
// it has to be the other service, and to mean this one.
//
// A stream reads the log once, and leaves out what its subscriber did not ask for. It tells a subscriber that it has
// passed such events with the next wanted ones. Without any it does so at once, but only some times a second: a quiet
// feed holds up nobody who waits for the subscriber's checkpoint, and a busy one costs it few transactions.
class EventRpc final : public event::v1::EventService::CallbackService {
 public:
  // A message that only passes events is sent this long after the last message that moved the subscriber, or later:
  // each costs the subscriber a transaction.
  static constexpr absl::Duration kSkipInterval = absl::Milliseconds(200);
  // Such a message does not wait any longer once it passes so many events, which a stream that breaks reads again.
  static constexpr int64_t kMostHeldBack = 10 * limits::kEventBatch;

  // `identity` is told to whoever asks for the feed's extent, because that is how services meet.
  EventRpc(Feed& feed, History& history, const Identity& identity, std::shared_ptr<rpc::Admission> admission,
           rpc::CallLines& lines, telemetry::Metrics& metrics);
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
  absl::Status Begin(const Call& call, Stream& stream);
  // Writes what there is for a stream. Returns when to look at it again if nothing wakes the feeder before; an error
  // ends the stream.
  absl::StatusOr<absl::Time> FeedNext(Stream& stream);

  Feed& feed_;
  History& history_;
  const Identity& identity_;
  rpc::Calls calls_;
  std::mutex mutex_;                              // guards the two below
  std::vector<std::shared_ptr<Stream>> streams_;  // those that have not ended
  bool stopping_ = false;
  std::thread feeder_;  // declared last, because it uses the other members
};

}  // namespace crosskey::events
