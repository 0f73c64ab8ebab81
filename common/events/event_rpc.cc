#include "common/events/event_rpc.h"

#include <algorithm>
#include <atomic>
#include <string>

#include <pthread.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/fault/fault.h"
#include "common/rpc/call_ref.h"
#include "common/rpc/channel.h"
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

void Fill(const Seen& seen, event::v1::SeenRows& out) {
  out.set_type(seen.type);
  out.set_id(Value(seen.id));
  out.set_uid(seen.uid);
  out.set_deletion_id(Value(seen.deletion_id));
  out.set_deletion_uid(seen.deletion_uid);
}

}  // namespace

bool IsFullName(const std::string& text) {
  const auto fits = [](char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.'; };
  return !text.empty() && text.size() <= limits::kEventTypeBytes && std::all_of(text.begin(), text.end(), fits);
}

absl::Status CheckTypes(const event::v1::SubscribeRequest& request) {
  rpc::FieldErrors errors;
  if (errors.RequireCount("types", request.types_size(), 0, limits::kEventTypes)) {
    for (int i = 0; i < request.types_size(); ++i) {
      if (IsFullName(request.types(i))) continue;
      errors.Add(absl::StrCat("types[", i, "]"),
                 absl::StrCat("must be the full name of a message, of 1 to ", limits::kEventTypeBytes, " bytes"));
    }
  }
  return errors.status();
}

// gRPC's object for one stream. All but the On... functions are for the feeder's thread.
class EventRpc::Stream final : public grpc::ServerWriteReactor<event::v1::SubscribeResponse> {
 public:
  Stream(rpc::Calls& calls, Signal& news, grpc::CallbackServerContext& context,
         const event::v1::SubscribeRequest& request)
      : types(request.types().begin(), request.types().end()),
        after{request.after_sequence()},
        read{after},
        read_id(request.after_event_id()),
        calls_(calls),
        news_(news),
        call_(calls.Stream(context, kName)),
        ref_(context) {
    feed_id = request.feed_id();
  }

  // gRPC may use the stream until OnDone.
  void KeepUntilDone(std::shared_ptr<Stream> self) { self_ = std::move(self); }

  const Call& call() const { return call_; }
  bool writing() const { return writing_; }
  // The client is gone: it takes no more.
  bool broken() const { return broken_; }

  // A subscriber that does not read holds a batch.
  void EndIfUnread(absl::Time now) const {
    if (now - write_begin_ > limits::kUnreadFor) ref_.End(GRPC_STATUS_RESOURCE_EXHAUSTED, "the events were not read");
  }

  void Write() {
    write_begin_ = absl::Now();
    writing_ = true;
    StartWrite(&response);
  }
  // To be called once, while nothing is being written.
  void End(const absl::Status& status) { Finish(calls_.StreamEnds(kName, call_, begin_, status)); }

  bool begun = false;
  bool wrote_batch = false;  // the last message was not a bookmark
  std::string feed_id;
  const std::vector<std::string> types;
  // Where the last message ended, and how far the log has been read. In between are only events that are left out,
  // which the next message passes. They may be trimmed meanwhile, because they need not be read any more.
  Sequence after;
  Sequence read;
  std::string read_id;
  int64_t left_out = 0;
  absl::Time next_skip = absl::InfinitePast();
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
  const rpc::CallRef ref_;
  const absl::Time begin_ = absl::Now();
  absl::Time write_begin_ = absl::InfinitePast();
  std::atomic<bool> writing_ = false;
  std::atomic<bool> broken_ = false;
  std::shared_ptr<Stream> self_;
};

EventRpc::EventRpc(Feed& feed, History& history, const Identity& identity, std::shared_ptr<rpc::Admission> admission,
                   rpc::CallLines& lines, telemetry::Metrics& metrics)
    : feed_(feed),
      history_(history),
      identity_(identity),
      calls_("event.v1.EventService", std::move(admission), lines, metrics),
      feeder_([this] { FeedAll(); }) {
  calls_.TakeFromAnybody("GetFeedInfo");
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
  absl::Status status = calls_.PassGate(*context, "Subscribe");
  if (status.ok()) status = calls_.admission().CheckStream();
  if (status.ok()) status = calls_.admission().CheckCaller(*context, true);
  if (status.ok()) status = calls_.CheckSize("Subscribe", *request);
  if (status.ok()) status = CheckTypes(*request);
  if (!status.ok()) {
    stream->End(status);
    return stream.get();
  }
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
    absl::Time next = absl::Now() + kPoll;
    for (const auto& stream : streams) {
      if (stream->writing()) {
        stream->EndIfUnread(absl::Now());
        continue;
      }
      const absl::StatusOr<absl::Time> again = FeedNext(*stream);
      if (again.ok()) {
        next = std::min(next, *again);
        continue;
      }
      {
        std::lock_guard lock(mutex_);
        streams_.erase(std::find(streams_.begin(), streams_.end(), stream));
      }
      stream->End(again.status());
    }
    feed_.news().Wait(seen, next - absl::Now());
  }
}

absl::Status EventRpc::Begin(const Call& call, Stream& stream) {
  CROSSKEY_ASSIGN_OR_RETURN(const FeedInfo info, feed_.Begin(call, stream.after, stream.feed_id, stream.read_id));
  stream.feed_id = info.feed_id;
  stream.begun = true;
  return absl::OkStatus();
}

absl::StatusOr<absl::Time> EventRpc::FeedNext(Stream& stream) {
  if (stream.broken()) return absl::CancelledError("the subscriber is gone");
  CROSSKEY_RETURN_IF_ERROR(calls_.admission().CheckStream());
  CROSSKEY_RETURN_IF_ERROR(stream.call().Check());
  if (std::exchange(stream.wrote_batch, false)) CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kFeedSent));
  // A stream has no deadline, so each of its reads is given one.
  Call read = stream.call();
  read.deadline = std::min(read.deadline, absl::Now() + limits::kDefaultDeadline);
  CROSSKEY_RETURN_IF_ERROR(history_.MayPublish(read));
  if (!stream.begun) CROSSKEY_RETURN_IF_ERROR(Begin(read, stream));
  CROSSKEY_ASSIGN_OR_RETURN(const Slice slice,
                            feed_.Read(read, stream.read, stream.types, stream.feed_id, stream.read_id));
  stream.read = slice.through;
  if (!slice.through_id.empty()) stream.read_id = slice.through_id;
  stream.left_out += slice.left_out;
  const absl::Time now = absl::Now();
  const bool moves = stream.read != stream.after;
  if (slice.events.empty() && stream.left_out < kMostHeldBack) {
    const absl::Time next = moves ? stream.next_skip : stream.next_bookmark;
    if (now < next) return slice.is_full() ? now : next;
  }
  event::v1::SubscribeResponse& response = stream.response;
  response.Clear();
  response.set_feed_id(stream.feed_id);
  response.set_after_sequence(Value(stream.after));
  response.set_through_sequence(Value(stream.read));
  response.set_left_out(stream.left_out);
  if (moves) response.set_through_event_id(stream.read_id);
  for (const Event& event : slice.events) Fill(event, *response.add_events());
  if (moves) {
    CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kFeedSend));
    stream.next_skip = now + kSkipInterval;
  }
  stream.next_bookmark = now + limits::kBookmarkInterval;
  stream.after = stream.read;
  stream.left_out = 0;
  stream.wrote_batch = moves;
  stream.Write();
  return absl::InfiniteFuture();
}

grpc::ServerUnaryReactor* EventRpc::GetFeedInfo(grpc::CallbackServerContext* context,
                                                const event::v1::GetFeedInfoRequest* request,
                                                event::v1::GetFeedInfoResponse* response) {
  const auto answer = [this, response](const Call& call) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const FeedInfo info, feed_.Info(call));
    CROSSKEY_ASSIGN_OR_RETURN(const std::vector<FeedPosition> positions, history_.Positions(call));
    // Another process may have mended it.
    if (history_.own_state() != HistoryState::kGoesOn) CROSSKEY_RETURN_IF_ERROR(history_.Refresh(call));
    const Parties parties = identity_.Outgoing();
    response->set_service(parties.caller.service);
    response->set_instance_id(parties.caller.id);
    response->set_paired_instance_id(parties.callee.id);
    response->set_feed_id(info.feed_id);
    response->set_floor(Value(info.floor));
    response->set_head(Value(info.head));
    response->set_state(static_cast<event::v1::HistoryState>(history_.own_state()));
    for (const FeedPosition& position : positions) {
      auto* out = response->add_positions();
      out->set_feed(position.feed);
      out->set_feed_id(position.feed_id);
      out->set_last_sequence(Value(position.last_sequence));
      out->set_event_id(position.event_id);
      out->set_state(static_cast<event::v1::HistoryState>(position.state));
      for (const Seen& seen : position.seen) Fill(seen, *out->add_seen());
    }
    return absl::OkStatus();
  };
  return calls_.Unary(*context, "GetFeedInfo", rpc::Waits::kInternal, *request, answer);
}

}  // namespace crosskey::events
