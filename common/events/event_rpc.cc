#include "common/events/event_rpc.h"

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

grpc::Status EventRpc::Subscribe(grpc::ServerContext* context, const event::v1::SubscribeRequest* request,
                                 grpc::ServerWriter<event::v1::SubscribeResponse>* writer) {
  return calls_.ServerStream(*context, "Subscribe", [&](const Call& call) -> absl::Status {
    struct Place {
      std::atomic<int>& subscribers;
      const int number = ++subscribers;
      ~Place() { --subscribers; }
    } place{subscribers_};
    if (place.number > limits::kFeedSubscribers) return errors::Overloaded("feed subscribers");
    return Follow(call, *request, *writer);
  });
}

absl::Status EventRpc::Follow(const Call& call, const event::v1::SubscribeRequest& request,
                              grpc::ServerWriter<event::v1::SubscribeResponse>& writer) {
  CROSSKEY_RETURN_IF_ERROR(calls_.admission().CheckStream());
  // A stream has no deadline, so each of its reads is given one.
  const auto limited = [&call] {
    Call read = call;
    read.deadline = std::min(call.deadline, absl::Now() + limits::kDefaultDeadline);
    return read;
  };
  CROSSKEY_ASSIGN_OR_RETURN(const FeedInfo info, feed_.Info(limited()));
  if (!request.feed_id().empty() && request.feed_id() != info.feed_id) return errors::FeedMismatch(info.feed_id);
  if (request.after_sequence() < 0 || Sequence{request.after_sequence()} > info.head) {
    return errors::InvalidField("after_sequence", "must not be negative or beyond the head of the feed");
  }
  Sequence after{request.after_sequence()};
  absl::Time next_bookmark = absl::InfinitePast();
  while (true) {
    CROSSKEY_RETURN_IF_ERROR(calls_.admission().CheckStream());
    CROSSKEY_RETURN_IF_ERROR(call.Check());
    const uint64_t seen = feed_.news().Now();
    CROSSKEY_ASSIGN_OR_RETURN(const std::vector<Event> batch, feed_.Read(limited(), after));
    if (!batch.empty() || absl::Now() >= next_bookmark) {
      event::v1::SubscribeResponse response;
      response.set_feed_id(info.feed_id);
      response.set_after_sequence(Value(after));
      for (const Event& event : batch) Fill(event, *response.add_events());
      if (!batch.empty()) after = batch.back().sequence;
      response.set_through_sequence(Value(after));
      if (!batch.empty()) CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kFeedSend));
      if (!writer.Write(response)) return absl::CancelledError("the subscriber is gone");
      if (!batch.empty()) CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kFeedSent));
      next_bookmark = absl::Now() + limits::kBookmarkInterval;
    }
    if (batch.empty()) feed_.news().Wait(seen, kPoll);
  }
}

grpc::Status EventRpc::GetFeedInfo(grpc::ServerContext* context, const event::v1::GetFeedInfoRequest*,
                                   event::v1::GetFeedInfoResponse* response) {
  return calls_.Unary(*context, "GetFeedInfo", [&](const Call& call) -> absl::Status {
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
  });
}

}  // namespace crosskey::events
