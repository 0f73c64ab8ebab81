// Applies the events of a peer's feed, each exactly once.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <google/protobuf/message.h>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/events/outbox.h"
#include "common/events/transport.h"
#include "common/status/limits.h"
#include "common/telemetry/metrics.h"

namespace crosskey::events {

// Each batch is applied by one transaction. Its first statement moves the checkpoint, which locks the row and fails if
// another consumer has moved it already. Then the effects run. So a batch takes effect once, even if it is delivered
// twice or several processes consume.
//
// An event that cannot be applied ends Run, so that no later event takes effect before it. It is logged and shown by
// the metric crosskey_consumer_stalled, and the next Run tries it again.
//
// A feed that does not go on from the checkpoint is not consumed any more: its history is another one, an event is not
// the one that the witness has (HISTORY_MISMATCH), or events in between are no longer kept. That is stored, and only a
// repair ends it (common/relation).
//
// The consumer asks for the types that have a handler. The checkpoint passes events of other types, whether the peer
// leaves them out or, in an older version, sends them; they are counted. A lost event shows, because the events that
// are sent and those that are left out have to be as many as the range has.
class Consumer {
 public:
  // What an event does. `payload` is the decoded payload of the event.
  using Effect = std::function<absl::Status(Tx&, const Event&, const google::protobuf::Message& payload)>;
  enum class Kind {
    kNormal,
    kDeletion,  // raises last_deletion_sequence, the fence of common/relation
    kHint,      // skipped if it fails; but a conflict or a lost connection fails the whole transaction
  };

  // `feed` is the name of the service that publishes, and of its row in `checkpoints`. `on_applied` is called after
  // each commit with events, not if all of them were left out.
  Consumer(std::string feed, Outbox& outbox, Transport& transport, std::function<void()> on_applied,
           telemetry::Metrics& metrics);

  // Registers what the events of a type do. Only before the first Run, because nothing locks the handlers.
  template <typename Message>
  void On(Kind kind, std::function<absl::Status(Tx&, const Event&, const Message&)> effect) {
    On(*Message::descriptor(), kind, [effect = std::move(effect)](Tx& tx, const Event& event, const auto& payload) {
      return effect(tx, event, static_cast<const Message&>(payload));
    });
  }
  // The same for a type that is known only by its descriptor. It must be a generated type, because the generated
  // factory makes its messages.
  void On(const google::protobuf::Descriptor& type, Kind kind, Effect effect);

  // Streams from the checkpoint on until the stream ends. Always returns an error, which says why it ended.
  // `before_each` is called before each batch or bookmark; its error ends the stream.
  absl::Status Run(const Call& call, const std::function<absl::Status()>& before_each = nullptr);

  // Applies one batch, in one transaction if that goes through within limits::kApplyTime. Otherwise half as many events
  // are tried, and then half of these, down to one; after each transaction that succeeds, some more. So a consumer
  // makes its way although the database is slow, or other servers of a cluster write the same rows again and again.
  // (Technique: additive increase, multiplicative decrease; Chiu and Jain, 1989.) `before_next` is called before each
  // further transaction; its error ends the batch.
  //
  // ABORTED: another consumer was faster; read the checkpoint again. FAILED_PRECONDITION: the batch belongs to another
  // history or has a gap.
  absl::Status Apply(const Batch& batch, const std::function<absl::Status()>& before_next = nullptr);

  // When events have taken effect last, or there were none. For the thread of Run.
  absl::Time last_progress() const { return last_progress_; }

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
    std::string event_id;  // of the event at `last`; empty: not known
  };

  // FAILED_PRECONDITION HISTORY_MISMATCH: the feed must not be consumed.
  absl::StatusOr<Position> ReadCheckpoint(const Call& call);
  // Some events of a batch, one after the other, and what was left out before and after each of them.
  struct Part {
    const std::string& feed_id;
    Sequence after;
    Sequence through;
    std::string through_id;  // of the event there; empty: not known
    absl::Span<const Event> events;
  };
  static Part PartOf(const Batch& batch, size_t begin, size_t end);
  absl::Status ApplyPart(const Part& part);
  // Moves the checkpoint from the `after` of the part to its `through`.
  absl::Status Advance(Tx& tx, const Part& part, Sequence last_deletion);
  // The checkpoint did not move: says why.
  absl::Status WhyNotMoved(Tx& tx, const Part& part);
  std::vector<std::string> HandledTypes() const;
  // FAILED_PRECONDITION: the sequences of the events do not ascend from `after` to `through`, or these events and those
  // left out are not all of this range.
  absl::Status CheckGapless(const Batch& batch) const;
  Sequence LastDeletionOf(const Part& part) const;
  void NoteEnd(const absl::Status& end);
  // `feed_id`: of the history that was being consumed.
  void NoteMismatch(const absl::Status& end, const std::string& feed_id);
  void NoteApplied(const Part& part);
  absl::Status ApplyEvent(Tx& tx, const Event& event);

  const std::string feed_;
  Outbox& outbox_;
  Transport& transport_;
  const std::function<void()> on_applied_;
  std::map<std::string, Handler> handlers_;  // by the name of the type
  size_t at_once_ = limits::kEventBatch;     // how many events a transaction may have
  absl::Time last_progress_ = absl::InfinitePast();
  std::string last_problem_;  // what ended the last Run, if it stays; so it is logged once
  prometheus::Gauge& stalled_;
  prometheus::Gauge& position_;
  prometheus::Family<prometheus::Counter>& events_;
  prometheus::Counter& passed_over_;
};

}  // namespace crosskey::events
