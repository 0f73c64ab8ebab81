#include "common/events/grpc_transport.h"

#include <algorithm>
#include <condition_variable>
#include <thread>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "common/status/macros.h"
#include "event/v1/event_service.grpc.pb.h"
#include "google/rpc/status.pb.h"

namespace crosskey::events {
namespace {

constexpr absl::Duration kFinish = absl::Seconds(2);
constexpr absl::Duration kInfo = absl::Seconds(1);

Batch FromWire(event::v1::SubscribeResponse& response) {
  Batch batch;
  batch.feed_id = response.feed_id();
  batch.after = Sequence{response.after_sequence()};
  batch.through = Sequence{response.through_sequence()};
  batch.left_out = response.left_out();
  batch.through_id = response.through_event_id();
  batch.events.reserve(static_cast<size_t>(response.events_size()));
  for (auto& event : *response.mutable_events()) {
    batch.events.push_back({Sequence{event.sequence()}, event.id(), event.source(), event.type(), event.subject(),
                            absl::FromUnixSeconds(event.time().seconds()) + absl::Nanoseconds(event.time().nanos()),
                            event.traceparent(), std::move(*event.mutable_payload()->mutable_value())});
  }
  return batch;
}

// Adds the details of an answer, so that its reason can be asked for.
absl::Status WithDetails(absl::Status status, const grpc::Status& answer) {
  google::rpc::Status details;
  if (!details.ParseFromString(answer.error_details())) return status;
  for (const auto& detail : details.details()) status.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  return status;
}

// Cancels a call that makes no progress. The thread of the call says with Allow how long its next wait may take.
class Watch {
 public:
  explicit Watch(grpc::ClientContext& context) : context_(context), thread_([this] { Run(); }) {}
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() {
    {
      std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  // Cancels the call after `limit`, unless Allow is called again before.
  void Allow(absl::Duration limit) {
    {
      std::lock_guard lock(mutex_);
      deadline_ = absl::Now() + limit;
    }
    changed_.notify_all();
  }

  bool fired() const {
    std::lock_guard lock(mutex_);
    return fired_;
  }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    while (!ended_) {
      if (deadline_ <= absl::Now()) {
        fired_ = true;
        deadline_ = absl::InfiniteFuture();
        context_.TryCancel();
      }
      changed_.wait_for(lock, absl::ToChronoMilliseconds(std::min(deadline_ - absl::Now(), absl::Hours(1))));
    }
  }

  grpc::ClientContext& context_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  absl::Time deadline_ = absl::InfiniteFuture();
  bool ended_ = false;
  bool fired_ = false;
  std::thread thread_;  // declared last, because the thread uses the other members
};

}  // namespace

absl::Status GrpcTransport::Stream(const FeedPosition& from, const std::vector<std::string>& types,
                                   const std::function<absl::Status(const Batch&)>& deliver) {
  // The call has no deadline, because the stream follows the feed without an end. A dead peer is known by its silence,
  // because a live one sends bookmarks.
  grpc::ClientContext context;
  CROSSKEY_RETURN_IF_ERROR(channel_.PrepareStream(context));
  {
    std::lock_guard lock(mutex_);
    if (cancelled_) return absl::CancelledError("the transport is closed");
    running_ = &context;
  }
  event::v1::SubscribeRequest request;
  request.set_feed_id(from.feed_id);
  request.set_after_sequence(Value(from.last_sequence));
  request.set_after_event_id(from.event_id);
  for (const std::string& type : types) request.add_types(type);
  const auto reader = event::v1::EventService::NewStub(channel_.channel())->Subscribe(&context, request);
  Watch watch(context);
  absl::Status status;
  event::v1::SubscribeResponse response;
  watch.Allow(silence_);
  while (reader->Read(&response)) {
    watch.Allow(absl::InfiniteDuration());
    if (status.ok()) status = deliver(FromWire(response));
    if (!status.ok()) context.TryCancel();
    watch.Allow(silence_);
  }
  const bool silent = watch.fired();
  // Read also returns false for a message that cannot be decoded. The server then sees no reason to end the stream, and
  // Finish would wait for ever. In all other cases Finish returns at once.
  watch.Allow(kFinish);
  const grpc::Status finish = reader->Finish();
  const bool undecodable = watch.fired() && !silent;
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
    return WithDetails(absl::FailedPreconditionError(finish.error_message()), finish);
  }
  return absl::UnavailableError(absl::StrCat("the stream has ended: ", finish.error_message()));
}

absl::StatusOr<PeerInfo> GrpcTransport::Info(const Call& call) {
  Call brief = call;
  brief.deadline = std::min(call.deadline, absl::Now() + kInfo);
  grpc::ClientContext context;
  channel_.PrepareToMeet(context, brief);
  event::v1::GetFeedInfoResponse response;
  const grpc::Status status =
      event::v1::EventService::NewStub(channel_.channel())->GetFeedInfo(&context, {}, &response);
  if (!status.ok()) return absl::UnavailableError(status.error_message());
  PeerInfo info;
  // What has another form is not stored, and not sent back.
  const Instance who{response.service(), response.instance_id()};
  if (rpc::ParseInstance(rpc::FormatInstance(who)) == who) info.who = who;
  info.its_pair = response.paired_instance_id();
  info.feed = {response.feed_id(), Sequence{response.floor()}, Sequence{response.head()}};
  info.state = static_cast<HistoryState>(response.state());
  for (const auto& position : response.positions()) {
    FeedPosition out{position.feed(),
                     position.feed_id(),
                     Sequence{position.last_sequence()},
                     position.event_id(),
                     static_cast<HistoryState>(position.state()),
                     {}};
    for (const auto& seen : position.seen()) {
      out.seen.push_back(
          {seen.type(), RowId{seen.id()}, seen.uid(), DeletionId{seen.deletion_id()}, seen.deletion_uid()});
    }
    info.positions.push_back(std::move(out));
  }
  return info;
}

void GrpcTransport::Cancel() {
  std::lock_guard lock(mutex_);
  cancelled_ = true;
  if (running_ != nullptr) running_->TryCancel();
}

}  // namespace crosskey::events
