#include "common/events/nats_transport.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status/limits.h"
#include "common/status/macros.h"
#include "common/telemetry/log.h"

namespace crosskey::events {
namespace {

constexpr absl::Duration kLook = absl::Milliseconds(100);  // how often an idle reader looks whether it is to stop
constexpr absl::Duration kIdle = absl::Seconds(1);         // without an event, until the peer is asked for its head
constexpr absl::Duration kFirstPause = absl::Seconds(1);   // until a stream that was of no use is tried again
constexpr absl::Duration kLongestPause = absl::Seconds(30);

// Ends the peer's stream when it has brought what was wanted of it. Never leaves this file.
absl::Status Enough() { return absl::CancelledError("crosskey: read on in NATS"); }

bool IsWanted(const std::vector<std::string>& types, const std::string& type) {
  return types.empty() || std::find(types.begin(), types.end(), type) != types.end();
}

}  // namespace

// One Stream: the position, and where its events come from.
class NatsTransport::Reading {
 public:
  Reading(NatsTransport& transport, const FeedPosition& from, const std::vector<std::string>& types,
          const std::function<absl::Status(const Batch&)>& deliver)
      : transport_(transport), position_(from), types_(types), deliver_(deliver) {}

  absl::Status Run() {
    while (true) {
      until_ = std::nullopt;
      if (absl::Now() >= transport_.try_again_) {
        const absl::Status why = ReadStream();
        transport_.reads_stream_.Set(0);
        reader_.reset();
        CROSSKEY_RETURN_IF_ERROR(refused_);
        if (transport_.cancelled_) return absl::CancelledError("the transport is closed");
        NoteEnd(why);
        if (!until_.has_value()) LeaveTheStreamAlone();
      }
      const absl::Status end = ReadPeer();
      if (end == Enough()) continue;
      if (until_.has_value()) LeaveTheStreamAlone();
      return end;
    }
  }

 private:
  // Hands a batch on, which moves the position.
  absl::Status Deliver(const Batch& batch, prometheus::Counter& from) {
    refused_ = deliver_(batch);
    CROSSKEY_RETURN_IF_ERROR(refused_);
    if (batch.is_bookmark()) return absl::OkStatus();
    const bool has_last = !batch.events.empty() && batch.events.back().sequence == batch.through;
    position_.feed_id = batch.feed_id;
    position_.last_sequence = batch.through;
    position_.event_id = has_last ? batch.events.back().id : batch.through_id;
    from.Increment(static_cast<double>(batch.events.size()) + static_cast<double>(batch.left_out));
    return absl::OkStatus();
  }

  // Says why the stream cannot be read, or not on. `until_` is how far the peer is to be read meanwhile.
  absl::Status ReadStream() {
    own_begun_ = false;
    has_position_ = false;
    if (position_.feed_id.empty()) {
      until_ = After(position_.last_sequence);
      return absl::NotFoundError("nothing has been consumed yet, so it is not known which history is the peer's");
    }
    std::unique_ptr<NatsLink>& link = transport_.link_;
    if (link != nullptr && !link->is_open()) link.reset();
    if (link == nullptr) {
      CROSSKEY_ASSIGN_OR_RETURN(link,
                                NatsLink::Open(transport_.options_, transport_.service_, "reads " + transport_.feed_));
    }
    const absl::StatusOr<NatsLink::End> end = link->EndOf(transport_.feed_);
    CROSSKEY_RETURN_IF_ERROR(end.status());
    if (!end->last.has_value()) return absl::NotFoundError("the stream has no events");
    if (end->last->feed_id != position_.feed_id) return absl::NotFoundError("the stream has another history");
    CROSSKEY_ASSIGN_OR_RETURN(reader_, link->Read(transport_.feed_, PlaceOfPosition(*end)));
    return Follow();
  }

  // Where the event at the position is in the stream, if that has all events up to its end. What comes from there is
  // compared with the position.
  uint64_t PlaceOfPosition(const NatsLink::End& end) const {
    const int64_t behind = Value(end.last->event.sequence) - Value(position_.last_sequence);
    const int64_t place = static_cast<int64_t>(end.stream_sequence) - std::max<int64_t>(behind, 0);
    return static_cast<uint64_t>(std::max<int64_t>(place, 1));
  }

  absl::Status Follow() {
    absl::Time quiet_since = absl::Now();
    bool late = false;  // the peer had more a moment ago
    while (!transport_.cancelled_) {
      CROSSKEY_ASSIGN_OR_RETURN(const Batch batch, NextBatch());
      if (!batch.is_bookmark()) {
        Reads();
        CROSSKEY_RETURN_IF_ERROR(Deliver(batch, transport_.from_stream_));
        if (until_.has_value()) return absl::DataLossError("the stream has a hole");
        quiet_since = absl::Now();
        late = false;
      } else if (until_.has_value()) {
        return absl::DataLossError("the stream has a hole");
      } else if (absl::Now() - quiet_since >= kIdle) {
        quiet_since = absl::Now();
        const absl::StatusOr<PeerInfo> peer = transport_.Info(Call::Background(kIdle));
        if (peer.ok() && (peer->feed.feed_id != position_.feed_id || peer->feed.head < position_.last_sequence)) {
          return absl::FailedPreconditionError("the position does not fit to what the peer has");
        }
        const bool more = peer.ok() && peer->feed.head > position_.last_sequence;
        if (more && late) return absl::UnavailableError("the stream is late");
        late = more;
        if (!more && has_position_) Reads();
        CROSSKEY_RETURN_IF_ERROR(Deliver(batch, transport_.from_stream_));
      }
    }
    return absl::CancelledError("the transport is closed");
  }

  // All events that are there, without waiting for more than the first one, and among as many messages as a batch may
  // have events. A batch without events is a bookmark. Ends before an event that is not the next one; then `until_` is
  // what is missing.
  absl::StatusOr<Batch> NextBatch() {
    Batch batch{position_.feed_id, position_.last_sequence, position_.last_sequence, {}, 0, position_.event_id};
    size_t bytes = 0;
    for (int looked_at = 0; looked_at < limits::kEventBatch && bytes < limits::kEventBatchBytes; ++looked_at) {
      CROSSKEY_ASSIGN_OR_RETURN(auto message, reader_->Next(looked_at == 0 ? kLook : absl::ZeroDuration()));
      if (!message.has_value()) break;
      if (!message->event.ok()) continue;  // somebody else's message
      CROSSKEY_ASSIGN_OR_RETURN(const bool is_next, IsNext(batch, *message->event));
      if (until_.has_value()) break;
      if (!is_next) continue;
      Event& event = message->event->event;
      batch.through = event.sequence;
      batch.through_id = event.id;
      bytes += event.payload.size() + event.subject.size() + 300;
      if (IsWanted(types_, event.type)) {
        batch.events.push_back(std::move(event));
      } else {
        ++batch.left_out;
      }
    }
    return batch;
  }

  // Whether this is the event after the end of the batch. Not, if the stream had it before the position.
  absl::StatusOr<bool> IsNext(const Batch& batch, const StreamedEvent& streamed) {
    const Event& event = streamed.event;
    // Before the first event of this history come those of an older one. What follows in a newer one says the peer.
    const bool is_own = streamed.feed_id == batch.feed_id;
    if (!is_own && own_begun_) return absl::FailedPreconditionError("the stream goes on with another history");
    if (!is_own) return false;
    own_begun_ = true;
    if (event.sequence >= batch.through) has_position_ = true;
    if (event.sequence == batch.through && !batch.through_id.empty() && event.id != batch.through_id) {
      return absl::FailedPreconditionError("the stream has another event at the position");
    }
    if (event.sequence > After(batch.through)) until_ = Sequence{Value(event.sequence) - 1};
    return event.sequence == After(batch.through);
  }

  // From the peer, until it has brought what is missing in the stream. Without such an aim, until the stream is to be
  // tried again. Then it ends with Enough.
  absl::Status ReadPeer() {
    return transport_.peer_.Stream(position_, types_, [&](const Batch& batch) -> absl::Status {
      CROSSKEY_RETURN_IF_ERROR(Deliver(batch, transport_.from_peer_));
      const bool enough =
          until_.has_value() ? position_.last_sequence >= *until_ : absl::Now() >= transport_.try_again_;
      return enough ? Enough() : absl::OkStatus();
    });
  }

  void LeaveTheStreamAlone() {
    transport_.try_again_ = absl::Now() + transport_.pause_;
    transport_.pause_ = std::min(2 * transport_.pause_, kLongestPause);
  }

  void Reads() {
    transport_.pause_ = kFirstPause;
    if (std::exchange(reads_, true)) return;
    log::Info("the events come from NATS", {{"feed", transport_.feed_}});
    transport_.last_end_.clear();
    transport_.reads_stream_.Set(1);
  }

  void NoteEnd(const absl::Status& why) {
    reads_ = false;
    const std::string text(why.message());
    if (text != transport_.last_end_) {
      log::Info("the events come from the peer", {{"feed", transport_.feed_}, {"reason", text}});
    }
    transport_.last_end_ = text;
  }

  NatsTransport& transport_;
  FeedPosition position_;
  const std::vector<std::string>& types_;
  const std::function<absl::Status(const Batch&)>& deliver_;
  absl::Status refused_;  // by whom the events are for
  std::unique_ptr<NatsReader> reader_;
  std::optional<Sequence> until_;  // how far the peer has to be read before the stream is of use
  bool own_begun_ = false;         // the reader has come to this history
  bool has_position_ = false;      // and to the event at the position: what is missing behind it may still come
  bool reads_ = false;
};

NatsTransport::NatsTransport(process::EventsOptions options, std::string service, std::string feed, Transport& peer,
                             telemetry::Metrics& metrics)
    : options_(std::move(options)),
      service_(std::move(service)),
      feed_(std::move(feed)),
      peer_(peer),
      reads_stream_(metrics.Gauge("crosskey_consumer_reads_stream",
                                  "1 while this process reads the feed from the stream of --events.",
                                  {{"feed", feed_}})),
      from_stream_(metrics.Counter("crosskey_consumer_delivered_events_total",
                                   "Events that have come, by where from: the stream of --events, or the peer.",
                                   {{"feed", feed_}, {"from", "stream"}})),
      from_peer_(metrics.Counter("crosskey_consumer_delivered_events_total",
                                 "Events that have come, by where from: the stream of --events, or the peer.",
                                 {{"feed", feed_}, {"from", "peer"}})),
      pause_(kFirstPause) {}

absl::Status NatsTransport::Stream(const FeedPosition& from, const std::vector<std::string>& types,
                                   const std::function<absl::Status(const Batch&)>& deliver) {
  return Reading(*this, from, types, deliver).Run();
}

void NatsTransport::Cancel() {
  cancelled_ = true;
  peer_.Cancel();
}

}  // namespace crosskey::events
