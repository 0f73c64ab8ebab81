// Takes a peer's events, each exactly once.
#pragma once

#include <functional>
#include <map>
#include <string>

#include <google/protobuf/message.h>

#include "absl/status/statusor.h"
#include "common/events/outbox.h"
#include "common/events/transport.h"
#include "common/telemetry/metrics.h"

namespace crosskey::events {

// One transaction a batch: it moves the checkpoint first, which locks it and fails if another consumer has moved it,
// and then runs the effects. So a batch takes effect once, whatever is delivered twice and whoever else consumes.
//
// An event that cannot be applied stops the consumer: it is logged, shown by the metric crosskey_consumer_stalled, and
// tried again until it can. An event of a type that nobody asked for is counted and passed over.
class Consumer {
 public:
  // Gets the event, and its payload decoded.
  using Effect = std::function<absl::Status(Tx&, const Event&, const google::protobuf::Message& payload)>;
  enum class Kind {
    kNormal,
    kDeletion,  // moves the fence of common/relation
    kHint,      // may fail: then it is skipped, unless the transaction as a whole has to be repeated
  };

  // `feed` names the row of `checkpoints`: the service that publishes. `on_applied` is called after each commit with
  // events.
  Consumer(std::string feed, Outbox& outbox, Transport& transport, std::function<void()> on_applied,
           telemetry::Metrics& metrics);

  // What the events of a type do. Before the first round only.
  template <typename Message>
  void On(Kind kind, std::function<absl::Status(Tx&, const Event&, const Message&)> effect) {
    On(*Message::descriptor(), kind, [effect = std::move(effect)](Tx& tx, const Event& event, const auto& payload) {
      return effect(tx, event, static_cast<const Message&>(payload));
    });
  }
  // The same for a type that is known by its descriptor only. It is one of the generated ones.
  void On(const google::protobuf::Descriptor& type, Kind kind, Effect effect);

  // Streams from the checkpoint on until the stream ends. Always returns an error: why it ended. `before_each` is called
  // before each batch or bookmark; its error ends the stream.
  absl::Status Run(const Call& call, const std::function<absl::Status()>& before_each = nullptr);

  // Applies one batch. ABORTED: another consumer was faster; read the checkpoint again. FAILED_PRECONDITION: the batch
  // belongs to another history or has a gap.
  absl::Status Apply(const Batch& batch);

 private:
  struct Handler {
    Kind kind;
    const google::protobuf::Message* prototype;
    Effect effect;
    prometheus::Counter* consumed;
  };
  struct Position {
    std::string feed_id;
    Sequence last{};
  };

  absl::StatusOr<Position> ReadCheckpoint(const Call& call);
  // Moves the checkpoint over the batch.
  absl::Status Advance(Tx& tx, const Batch& batch, Sequence last_deletion);
  // The checkpoint did not move: says why.
  absl::Status WhyNotMoved(Tx& tx, const Batch& batch);
  // FAILED_PRECONDITION: the events of the batch are not those after `after`, one by one.
  absl::Status CheckGapless(const Batch& batch) const;
  Sequence LastDeletionOf(const Batch& batch) const;
  void NoteEnd(const absl::Status& end);
  void NoteApplied(const Batch& batch);
  absl::Status ApplyEvent(Tx& tx, const Event& event);

  const std::string feed_;
  Outbox& outbox_;
  Transport& transport_;
  const std::function<void()> on_applied_;
  std::map<std::string, Handler> handlers_;  // by the name of the type
  std::string last_problem_;                 // so that it is logged once
  prometheus::Gauge& stalled_;
  prometheus::Gauge& position_;
  prometheus::Family<prometheus::Counter>& events_;
  prometheus::Counter& passed_over_;
};

}  // namespace crosskey::events
