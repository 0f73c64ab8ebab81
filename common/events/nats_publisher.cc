#include "common/events/nats_publisher.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status/errors.h"
#include "common/status/limits.h"
#include "common/telemetry/log.h"

namespace crosskey::events {
namespace {

// An idle session looks this often even if nothing wakes it: another process may have numbered events.
constexpr absl::Duration kPoll = absl::Milliseconds(250);

}  // namespace

NatsPublisher::NatsPublisher(Settings settings, Feed& feed, History& history, Identity& identity,
                             telemetry::Metrics& metrics)
    : settings_(std::move(settings)),
      feed_(feed),
      history_(history),
      identity_(identity),
      published_(metrics.Gauge("crosskey_events_published_sequence",
                               "The last event that this process has seen in the stream of --events; 0: none.")),
      works_(metrics.Gauge("crosskey_events_publishing", "1 while this process publishes to --events.")) {
  metrics.Gauge("crosskey_events_wanted", "1: --events is given.").Set(is_wanted() ? 1 : 0);
}

absl::Status NatsPublisher::Run(const Call& call, const std::function<absl::Status()>& before_each) {
  const auto session = [&]() -> absl::Status {
    CROSSKEY_RETURN_IF_ERROR(before_each());
    CROSSKEY_ASSIGN_OR_RETURN(const auto link, NatsLink::Open(settings_.options, settings_.service, "publishes"));
    CROSSKEY_RETURN_IF_ERROR(link->EnsureStream(settings_.service, settings_.retention));
    CROSSKEY_ASSIGN_OR_RETURN(const NatsLink::End end, link->EndOf(settings_.service));
    CROSSKEY_ASSIGN_OR_RETURN(Place place, PlaceOf(end));
    Note(absl::OkStatus());
    works_.Set(1);
    while (!call.cancelled()) {
      CROSSKEY_RETURN_IF_ERROR(before_each());
      if (!link->is_open()) return absl::UnavailableError("NATS: the connection was lost");
      published_.Set(static_cast<double>(Value(place.sequence)));
      const uint64_t seen = feed_.news().Now();
      CROSSKEY_ASSIGN_OR_RETURN(Slice slice, Read(place));
      if (slice.events.empty()) {
        feed_.news().Wait(seen, kPoll);
      } else {
        CROSSKEY_RETURN_IF_ERROR(Publish(*link, std::move(slice), &place));
      }
    }
    return absl::CancelledError("the publisher stops");
  };
  const absl::Status end = session();
  works_.Set(0);
  Note(end);
  return end;
}

absl::StatusOr<NatsPublisher::Place> NatsPublisher::PlaceOf(const NatsLink::End& end) const {
  CROSSKEY_ASSIGN_OR_RETURN(const FeedInfo own, feed_.Info(Call::Background(limits::kDefaultDeadline)));
  const std::string instance = identity_.Outgoing().caller.id;
  if (end.last.has_value() && end.last->instance_id != instance) {
    return absl::FailedPreconditionError(
        absl::StrCat("the stream of --events has events of another instance, ", end.last->instance_id));
  }
  if (!end.last.has_value() || end.last->feed_id != own.feed_id) {
    return Place{end.stream_sequence, own.floor, own.feed_id};
  }
  return Place{end.stream_sequence, end.last->event.sequence, own.feed_id, end.last->event.id};
}

// Where the log has lost its beginning, the stream gets a gap: readers see it, and take what is left from the feed.
absl::StatusOr<Slice> NatsPublisher::Read(const Place& place) const {
  const Call call = Call::Background(limits::kDefaultDeadline);
  CROSSKEY_RETURN_IF_ERROR(history_.MayPublish(call));
  absl::StatusOr<Slice> slice = feed_.Read(call, place.sequence, {}, place.feed_id, place.event_id);
  if (errors::Is(slice.status(), errors::Reason::kEventsTrimmed)) {
    CROSSKEY_ASSIGN_OR_RETURN(const FeedInfo own, feed_.Info(call));
    log::Warning("the stream of --events has a gap", {{"after", Value(place.sequence)}, {"through", Value(own.floor)}});
    slice = feed_.Read(call, own.floor, {}, place.feed_id);
  }
  if (!slice.ok() || slice->events.empty()) return slice;
  // The name is read after the events: they belong to this history if it is still the same one.
  CROSSKEY_ASSIGN_OR_RETURN(const FeedInfo own, feed_.Info(call));
  if (own.feed_id != place.feed_id) return absl::AbortedError("the feed has another history");
  return slice;
}

absl::Status NatsPublisher::Publish(NatsLink& link, Slice slice, Place* place) const {
  std::vector<StreamedEvent> events;
  events.reserve(slice.events.size());
  for (Event& event : slice.events) {
    events.push_back({std::move(event), place->feed_id, identity_.Outgoing().caller.id});
  }
  CROSSKEY_RETURN_IF_ERROR(link.Append(settings_.service, place->stream_sequence, events));
  place->stream_sequence += events.size();
  place->sequence = slice.through;
  place->event_id = slice.through_id;
  return absl::OkStatus();
}

void NatsPublisher::Note(const absl::Status& problem) {
  if (absl::IsCancelled(problem)) return;
  const std::string text(problem.message());
  if (text == last_problem_) return;
  if (problem.ok()) {
    log::Info("the events are published again");
  } else {
    log::Warning("the events are not published", {{"error", text}});
  }
  last_problem_ = text;
}

}  // namespace crosskey::events
