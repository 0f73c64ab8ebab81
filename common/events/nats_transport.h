// Events from a peer's stream in NATS JetStream.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/events/nats_link.h"
#include "common/events/transport.h"
#include "common/process/events_url.h"
#include "common/telemetry/metrics.h"

namespace crosskey::events {

// Reads the stream behind the position that it is given, and everything that the stream has not from the peer itself: a
// first event, a hole, what is late, a stream that was lost, and all of it while NATS is away. A stream that was of no
// use is tried again after pauses that grow to 30 s, and each attempt holds up the events for some seconds at most.
// Only the peer says that a feed does not go on.
//
// What comes from the stream is taken only if it is the next event of the history that has been consumed; and the event
// at the position itself has to be the one that was consumed there.
class NatsTransport final : public Transport {
 public:
  // `service` reads the stream of the service `feed`. `peer` reads the same feed from the peer, and must outlive this.
  NatsTransport(process::EventsOptions options, std::string service, std::string feed, Transport& peer,
                telemetry::Metrics& metrics);

  bool is_wanted() const { return !options_.url.servers.empty(); }

  absl::Status Stream(const FeedPosition& from, const std::vector<std::string>& types,
                      const std::function<absl::Status(const Batch&)>& deliver) override;
  // By the peer itself.
  absl::StatusOr<PeerInfo> Info(const Call& call) override { return peer_.Info(call); }
  void Cancel() override;

 private:
  class Reading;

  const process::EventsOptions options_;
  const std::string service_;
  const std::string feed_;
  Transport& peer_;
  prometheus::Gauge& reads_stream_;
  prometheus::Counter& from_stream_;
  prometheus::Counter& from_peer_;
  std::atomic<bool> cancelled_ = false;

  // What stays between two streams, of which only one runs at a time.
  std::unique_ptr<NatsLink> link_;
  absl::Time try_again_ = absl::InfinitePast();  // before that the stream is left alone
  absl::Duration pause_;                         // after the next time that it is of no use
  std::string last_end_;                         // so that it is logged once
};

}  // namespace crosskey::events
