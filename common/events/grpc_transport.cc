#include "common/events/grpc_transport.h"

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/status/macros.h"
#include "event/v1/event_service.grpc.pb.h"

namespace crosskey::events {
namespace {

constexpr absl::Duration kFinish = absl::Seconds(2);

Batch FromWire(event::v1::SubscribeResponse& response) {
  Batch batch;
  batch.feed_id = response.feed_id();
  batch.after = response.after_sequence();
  batch.through = response.through_sequence();
  batch.events.reserve(static_cast<size_t>(response.events_size()));
  for (auto& event : *response.mutable_events()) {
    batch.events.push_back({event.sequence(), event.id(), event.source(), event.type(), event.subject(),
                            absl::FromUnixSeconds(event.time().seconds()) + absl::Nanoseconds(event.time().nanos()),
                            event.traceparent(), std::move(*event.mutable_payload()->mutable_value())});
  }
  return batch;
}

// Read also ends at a message that cannot be decoded. Then the server sees no reason to end the stream, and Finish would wait
// for ever; otherwise it returns at once.
grpc::Status Finish(grpc::ClientReader<event::v1::SubscribeResponse>& reader, grpc::ClientContext& context,
                    bool& undecodable) {
  absl::Notification finished;
  std::thread watch([&] {
    if (finished.WaitForNotificationWithTimeout(kFinish)) return;
    undecodable = true;
    context.TryCancel();
  });
  grpc::Status status = reader.Finish();
  finished.Notify();
  watch.join();
  return status;
}

}  // namespace

absl::Status GrpcTransport::Stream(const std::string& feed_id, int64_t after,
                                   const std::function<absl::Status(const Batch&)>& deliver) {
  // No deadline: the stream follows the feed. A dead peer is noticed by the channel's keepalive.
  grpc::ClientContext context;
  {
    std::lock_guard lock(mutex_);
    if (cancelled_) return absl::CancelledError("the transport is closed");
    running_ = &context;
  }
  event::v1::SubscribeRequest request;
  request.set_feed_id(feed_id);
  request.set_after_sequence(after);
  const auto reader = event::v1::EventService::NewStub(channel_)->Subscribe(&context, request);
  absl::Status status;
  event::v1::SubscribeResponse response;
  while (status.ok() && reader->Read(&response)) status = deliver(FromWire(response));
  if (!status.ok()) {
    context.TryCancel();
    while (reader->Read(&response)) {
    }
  }
  bool undecodable = false;
  const grpc::Status finish = Finish(*reader, context, undecodable);
  {
    std::lock_guard lock(mutex_);
    running_ = nullptr;
  }
  CROSSKEY_RETURN_IF_ERROR(status);
  if (undecodable) return absl::InternalError("a message of the stream cannot be decoded");
  // These do not pass by themselves.
  if (finish.error_code() == grpc::StatusCode::FAILED_PRECONDITION ||
      finish.error_code() == grpc::StatusCode::INVALID_ARGUMENT) {
    return absl::FailedPreconditionError(finish.error_message());
  }
  return absl::UnavailableError(absl::StrCat("the stream has ended: ", finish.error_message()));
}

void GrpcTransport::Cancel() {
  std::lock_guard lock(mutex_);
  cancelled_ = true;
  if (running_ != nullptr) running_->TryCancel();
}

}  // namespace crosskey::events
