// Copies a service's feed into its stream in NATS JetStream.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/events/feed.h"
#include "common/events/history.h"
#include "common/events/nats_link.h"
#include "common/process/events_url.h"
#include "common/status/identity.h"
#include "common/telemetry/metrics.h"

namespace crosskey::events {

// The stream has the events of the feed in their order, each once. It is a copy: an event stays in the log until the
// other service has it, whether it is in the stream or not.
//
// What the stream has is asked for at the start of each session, and stored nowhere else. Its last event says where to
// go on, and each event is stored only right behind the one before it (Nats-Expected-Last-Sequence). So nothing is
// stored twice or out of order, although an answer was lost, two replicas publish, or the servers were away for longer
// than they remember the ids of messages.
//
// A stream without events is filled with all that the log still has. After a repair the feed has another history, whose
// events follow from the oldest one that the log has.
class NatsPublisher {
 public:
  struct Settings {
    process::EventsOptions options;
    std::string service;       // whose feed it is
    absl::Duration retention;  // how long a stream that is created keeps events
  };

  // `identity` says which instance this is. All references must outlive it.
  NatsPublisher(Settings settings, Feed& feed, History& history, Identity& identity, telemetry::Metrics& metrics);

  bool is_wanted() const { return !settings_.options.url.servers.empty(); }

  // One session: publishes until something ends it, and says what. `before_each` is called before each batch and, while
  // there is none, four times a second; its error ends the session. UNAVAILABLE, ABORTED: the next session may go on.
  // FAILED_PRECONDITION: the stream has events of another instance, or events that the feed has not.
  absl::Status Run(const Call& call, const std::function<absl::Status()>& before_each);

 private:
  // Up to where the stream has the feed.
  struct Place {
    uint64_t stream_sequence = 0;
    Sequence sequence{};
    std::string feed_id;
    std::string event_id = {};
  };

  absl::StatusOr<Place> PlaceOf(const NatsLink::End& end) const;
  // What follows in the log. ABORTED: the feed has another history since.
  absl::StatusOr<Slice> Read(const Place& place) const;
  absl::Status Publish(NatsLink& link, Slice slice, Place* place) const;
  void Note(const absl::Status& problem);

  const Settings settings_;
  Feed& feed_;
  History& history_;
  Identity& identity_;
  std::string last_problem_;  // so that it is logged once
  prometheus::Gauge& published_;
  prometheus::Gauge& works_;
};

}  // namespace crosskey::events
