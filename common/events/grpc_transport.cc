#include "common/events/grpc_transport.h"

#include <algorithm>
#include <condition_variable>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/rpc/channel.h"
#include "common/status/macros.h"
#include "event/v1/event_service.grpc.pb.h"

namespace crosskey::events {
namespace {

constexpr absl::Duration kFinish = absl::Seconds(2);
constexpr absl::Duration kInfo = absl::Seconds(1);

Batch FromWire(event::v1::SubscribeResponse& response) {
  Batch batch;
  batch.feed_id = response.feed_id();
  batch.after = Sequence{response.after_sequence()};
  batch.through = Sequence{response.through_sequence()};
  batch.events.reserve(static_cast<size_t>(response.events_size()));
  for (auto& event : *response.mutable_events()) {
    batch.events.push_back({Sequence{event.sequence()}, event.id(), event.source(), event.type(), event.subject(),
                            absl::FromUnixSeconds(event.time().seconds()) + absl::Nanoseconds(event.time().nanos()),
                            event.traceparent(), std::move(*event.mutable_payload()->mutable_value())});
  }
  return batch;
}

// Reads a stream. Its thread waits here and not within gRPC, because a thread that waits there also works for the calls
// of the servers in this process, which then switch threads more often.
class Reader final : public grpc::ClientReadReactor<event::v1::SubscribeResponse> {
 public:
  enum class Read { kMessage, kEnd, kNothing };

  // Begins the call. Must not be destroyed before AwaitDone has returned true.
  Reader(event::v1::EventService::Stub& stub, grpc::ClientContext& context,
         const event::v1::SubscribeRequest& request) {
    stub.async()->Subscribe(&context, &request, this);
    StartRead(&message_);
    StartCall();
  }

  // Waits for the next message. kNothing: there is none within `limit`. After kMessage call ReadNext.
  Read Await(absl::Duration limit) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, absl::ToChronoMilliseconds(limit), [this] { return read_.has_value(); })) {
      return Read::kNothing;
    }
    const bool ok = *read_;
    read_.reset();
    return ok ? Read::kMessage : Read::kEnd;
  }
  event::v1::SubscribeResponse& message() { return message_; }
  void ReadNext() { StartRead(&message_); }

  // Waits for the end of the call. False: it has not ended within `limit`.
  bool AwaitDone(absl::Duration limit) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, absl::ToChronoMilliseconds(limit), [this] { return done_; });
  }
  // Only after AwaitDone has returned true.
  const grpc::Status& status() const { return status_; }

 private:
  void OnReadDone(bool ok) override {
    std::lock_guard lock(mutex_);
    read_ = ok;
    changed_.notify_all();
  }
  void OnDone(const grpc::Status& status) override {
    std::lock_guard lock(mutex_);
    status_ = status;
    done_ = true;
    changed_.notify_all();
  }

  event::v1::SubscribeResponse message_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::optional<bool> read_;  // whether the read that has ended got a message
  bool done_ = false;
  grpc::Status status_;
};

}  // namespace

absl::Status GrpcTransport::Stream(const std::string& feed_id, Sequence after,
                                   const std::function<absl::Status(const Batch&)>& deliver) {
  // The call has no deadline, because the stream follows the feed without an end. A dead peer is known by its silence,
  // because a live one sends bookmarks.
  grpc::ClientContext context;
  {
    std::lock_guard lock(mutex_);
    if (cancelled_) return absl::CancelledError("the transport is closed");
    running_ = &context;
  }
  event::v1::SubscribeRequest request;
  request.set_feed_id(feed_id);
  request.set_after_sequence(Value(after));
  const auto stub = event::v1::EventService::NewStub(channel_);
  Reader reader(*stub, context, request);
  absl::Status status;
  bool silent = false;
  for (Reader::Read read; (read = reader.Await(silence_)) != Reader::Read::kEnd;) {
    if (read == Reader::Read::kNothing) {
      silent = true;
      context.TryCancel();
      continue;
    }
    if (status.ok()) status = deliver(FromWire(reader.message()));
    if (!status.ok()) context.TryCancel();
    reader.ReadNext();
  }
  // The reads also end at a message that cannot be decoded. The server then sees no reason to end the stream. In all
  // other cases the call ends at once.
  const bool undecodable = !reader.AwaitDone(kFinish);
  if (undecodable) {
    context.TryCancel();
    while (!reader.AwaitDone(kFinish)) continue;
  }
  const grpc::Status& finish = reader.status();
  {
    std::lock_guard lock(mutex_);
    running_ = nullptr;
  }
  CROSSKEY_RETURN_IF_ERROR(status);
  if (silent) return absl::UnavailableError("the peer sends nothing, not even bookmarks");
  if (undecodable) return absl::InternalError("a message of the stream cannot be decoded");
  // These errors do not pass by themselves. The consumer reports a FAILED_PRECONDITION, but not an UNAVAILABLE.
  if (finish.error_code() == grpc::StatusCode::FAILED_PRECONDITION ||
      finish.error_code() == grpc::StatusCode::INVALID_ARGUMENT ||
      finish.error_code() == grpc::StatusCode::OUT_OF_RANGE) {
    return absl::FailedPreconditionError(finish.error_message());
  }
  return absl::UnavailableError(absl::StrCat("the stream has ended: ", finish.error_message()));
}

absl::StatusOr<PeerInfo> GrpcTransport::Info(const Call& call) {
  Call brief = call;
  brief.deadline = std::min(call.deadline, absl::Now() + kInfo);
  grpc::ClientContext context;
  rpc::Prepare(context, brief, *channel_);
  event::v1::GetFeedInfoResponse response;
  const grpc::Status status = event::v1::EventService::NewStub(channel_)->GetFeedInfo(&context, {}, &response);
  if (!status.ok()) return absl::UnavailableError(status.error_message());
  PeerInfo info;
  info.feed = {response.feed_id(), Sequence{response.floor()}, Sequence{response.head()}};
  for (const auto& position : response.positions()) {
    info.positions.push_back({position.feed(), position.feed_id(), Sequence{position.last_sequence()}});
  }
  return info;
}

void GrpcTransport::Cancel() {
  std::lock_guard lock(mutex_);
  cancelled_ = true;
  if (running_ != nullptr) running_->TryCancel();
}

}  // namespace crosskey::events
