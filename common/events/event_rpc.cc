#include "common/events/event_rpc.h"

#include <algorithm>
#include <atomic>

#include <pthread.h>

#include "common/fault/fault.h"
#include "common/rpc/field_errors.h"
#include "common/rpc/timestamp.h"
#include "common/status/errors.h"
#include "common/status/limits.h"

namespace crosskey::events {
namespace {

// An idle stream reads the log this often even if nothing wakes it: another process may have numbered events.
constexpr absl::Duration kPoll = absl::Milliseconds(250);

void Fill(const Event& event, event::v1::Event& out) {
  out.set_id(event.id);
  out.set_source(event.source);
  out.set_type(event.type);
  out.set_subject(event.subject);
  rpc::SetTimestamp(absl::ToUnixMicros(event.time), out.mutable_time());
  out.set_sequence(Value(event.sequence));
  out.set_traceparent(event.traceparent);
  out.mutable_payload()->set_type_url("type.googleapis.com/" + event.type);
  out.mutable_payload()->set_value(event.payload);
}

}  // namespace

// gRPC's object for one stream. All but the On... functions are for the feeder's thread.
class EventRpc::Stream final : public grpc::ServerWriteReactor<event::v1::SubscribeResponse> {
 public:
  Stream(rpc::Calls& calls, Signal& news, grpc::CallbackServerContext& context,
         const event::v1::SubscribeRequest& request)
      : after{request.after_sequence()}, calls_(calls), news_(news), call_(calls.Stream(context, kName)) {
    feed_id = request.feed_id();
  }

  // gRPC may use the stream until OnDone.
  void KeepUntilDone(std::shared_ptr<Stream> self) { self_ = std::move(self); }

  const Call& call() const { return call_; }
  bool writing() const { return writing_; }
  // The client is gone: it takes no more.
  bool broken() const { return broken_; }

  void Write() {
    writing_ = true;
    StartWrite(&response);
  }
  // To be called once, while nothing is being written.
  void End(const absl::Status& status) { Finish(calls_.StreamEnds(kName, call_, begin_, status)); }

  bool begun = false;
  bool wrote_events = false;  // the last message was not a bookmark
  std::string feed_id;
  Sequence after;
  absl::Time next_bookmark = absl::InfinitePast();
  event::v1::SubscribeResponse response;

 private:
  static constexpr char kName[] = "Subscribe";

  void OnWriteDone(bool ok) override {
    if (!ok) broken_ = true;
    writing_ = false;
    news_.Notify();
  }
  void OnCancel() override { news_.Notify(); }
  void OnDone() override { self_ = nullptr; }

  rpc::Calls& calls_;
  Signal& news_;
  const Call call_;
  const absl::Time begin_ = absl::Now();
  std::atomic<bool> writing_ = false;
  std::atomic<bool> broken_ = false;
  std::shared_ptr<Stream> self_;
};

EventRpc::EventRpc(Feed& feed, std::shared_ptr<rpc::Admission> admission, rpc::CallLines& lines,
                   telemetry::Metrics& metrics)
    : feed_(feed),
      calls_("event.v1.EventService", std::move(admission), lines, metrics),
      feeder_([this] { FeedAll(); }) {
  pthread_setname_np(feeder_.native_handle(), "feeder");
}

EventRpc::~EventRpc() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  feed_.news().Notify();
  feeder_.join();
}

grpc::ServerWriteReactor<event::v1::SubscribeResponse>* EventRpc::Subscribe(
    grpc::CallbackServerContext* context, const event::v1::SubscribeRequest* request) {
  const auto stream = std::make_shared<Stream>(calls_, feed_.news(), *context, *request);
  stream->KeepUntilDone(stream);
  {
    std::lock_guard lock(mutex_);
    if (streams_.size() < limits::kFeedSubscribers) {
      streams_.push_back(stream);
      feed_.news().Notify();
      return stream.get();
    }
  }
  stream->End(errors::Overloaded("feed subscribers"));
  return stream.get();
}

void EventRpc::FeedAll() {
  while (true) {
    const uint64_t seen = feed_.news().Now();
    std::vector<std::shared_ptr<Stream>> streams;
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
      streams = streams_;
    }
    for (const auto& stream : streams) {
      if (stream->writing()) continue;
      const absl::Status status = FeedNext(*stream);
      if (status.ok()) continue;
      {
        std::lock_guard lock(mutex_);
        streams_.erase(std::find(streams_.begin(), streams_.end(), stream));
      }
      stream->End(status);
    }
    feed_.news().Wait(seen, kPoll);
  }
}

// Writes what there is for a stream. An error ends the stream.
absl::Status EventRpc::FeedNext(Stream& stream) {
  if (stream.broken()) return absl::CancelledError("the subscriber is gone");
  CROSSKEY_RETURN_IF_ERROR(calls_.admission().CheckStream());
  CROSSKEY_RETURN_IF_ERROR(stream.call().Check());
  if (std::exchange(stream.wrote_events, false)) CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kFeedSent));
  // A stream has no deadline, so each of its reads is given one.
  Call read = stream.call();
  read.deadline = std::min(read.deadline, absl::Now() + limits::kDefaultDeadline);
  if (!stream.begun) {
    CROSSKEY_ASSIGN_OR_RETURN(const FeedInfo info, feed_.Info(read));
    if (!stream.feed_id.empty() && stream.feed_id != info.feed_id) return errors::FeedMismatch(info.feed_id);
    if (stream.after < Sequence{} || stream.after > info.head) {
      return errors::InvalidField("after_sequence", "must not be negative or beyond the head of the feed");
    }
    stream.feed_id = info.feed_id;
    stream.begun = true;
  }
  CROSSKEY_ASSIGN_OR_RETURN(const std::vector<Event> batch, feed_.Read(read, stream.after));
  if (batch.empty() && absl::Now() < stream.next_bookmark) return absl::OkStatus();
  event::v1::SubscribeResponse& response = stream.response;
  response.Clear();
  response.set_feed_id(stream.feed_id);
  response.set_after_sequence(Value(stream.after));
  for (const Event& event : batch) Fill(event, *response.add_events());
  if (!batch.empty()) stream.after = batch.back().sequence;
  response.set_through_sequence(Value(stream.after));
  if (!batch.empty()) CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kFeedSend));
  stream.next_bookmark = absl::Now() + limits::kBookmarkInterval;
  stream.wrote_events = !batch.empty();
  stream.Write();
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* EventRpc::GetFeedInfo(grpc::CallbackServerContext* context,
                                                const event::v1::GetFeedInfoRequest*,
                                                event::v1::GetFeedInfoResponse* response) {
  const auto answer = [this, response](const Call& call) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const FeedInfo info, feed_.Info(call));
    CROSSKEY_ASSIGN_OR_RETURN(const std::vector<FeedPosition> positions, feed_.Positions(call));
    response->set_feed_id(info.feed_id);
    response->set_floor(Value(info.floor));
    response->set_head(Value(info.head));
    for (const FeedPosition& position : positions) {
      auto* out = response->add_positions();
      out->set_feed(position.feed);
      out->set_feed_id(position.feed_id);
      out->set_last_sequence(Value(position.last_sequence));
    }
    return absl::OkStatus();
  };
  return calls_.Unary(*context, "GetFeedInfo", rpc::Waits::kInternal, answer);
}

}  // namespace crosskey::events
