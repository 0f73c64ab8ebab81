#include "common/events/consumer.h"

#include <algorithm>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>

#include "absl/strings/str_cat.h"
#include "common/db/sql_error.h"
#include "common/events/events_sql.h"
#include "common/fault/fault.h"
#include "common/status/limits.h"
#include "common/telemetry/log.h"

namespace crosskey::events {

Consumer::Consumer(std::string feed, Outbox& outbox, Transport& transport, std::function<void()> on_applied,
                   telemetry::Metrics& metrics)
    : feed_(std::move(feed)),
      outbox_(outbox),
      transport_(transport),
      on_applied_(std::move(on_applied)),
      stalled_(prometheus::BuildGauge()
                   .Name("crosskey_consumer_stalled")
                   .Help("1 while an event of the feed cannot be applied.")
                   .Register(metrics.registry())
                   .Add({{"feed", feed_}})),
      position_(prometheus::BuildGauge()
                    .Name("crosskey_consumer_sequence")
                    .Help("The last event of the feed that took effect.")
                    .Register(metrics.registry())
                    .Add({{"feed", feed_}})),
      events_(prometheus::BuildCounter()
                  .Name("crosskey_consumer_events_total")
                  .Help("Events consumed, by type; handled=false: nobody asked for the type.")
                  .Register(metrics.registry())) {}

void Consumer::On(const std::string& type, Kind kind, Effect effect) { handlers_[type] = {kind, std::move(effect)}; }

absl::StatusOr<Consumer::Position> Consumer::ReadCheckpoint(const Call& call) {
  Position position;
  CROSSKEY_RETURN_IF_ERROR(outbox_.database().Read(call, [&](db::Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const auto row, (connection.QueryOne<std::string, int64_t>(sql::kCheckpoint, feed_)));
    if (!row.has_value()) return absl::InternalError("no checkpoint row for the feed " + feed_);
    std::tie(position.feed_id, position.last) = *row;
    return absl::OkStatus();
  }));
  return position;
}

absl::Status Consumer::Run(const Call& call, const std::function<absl::Status()>& before_each) {
  CROSSKEY_ASSIGN_OR_RETURN(const Position position, ReadCheckpoint(call));
  position_.Set(static_cast<double>(position.last));
  const absl::Status end = transport_.Stream(position.feed_id, position.last, [&](const Batch& batch) -> absl::Status {
    if (call.cancelled && call.cancelled()) return absl::CancelledError("the consumer stops");
    if (before_each) CROSSKEY_RETURN_IF_ERROR(before_each());
    if (!batch.events.empty()) return Apply(batch);
    stalled_.Set(0);  // a bookmark: all there is has been taken in
    return absl::OkStatus();
  });
  NoteEnd(end);
  return end;
}

// A feed that ended because the peer or the database went away comes back; every other reason stays until somebody mends it.
void Consumer::NoteEnd(const absl::Status& end) {
  const bool passes = end.ok() || absl::IsUnavailable(end) || absl::IsAborted(end) || absl::IsCancelled(end) ||
                      absl::IsResourceExhausted(end) || absl::IsDeadlineExceeded(end);
  const std::string problem = passes ? "" : std::string(end.message());
  if (!passes) stalled_.Set(1);
  if (!passes && problem != last_problem_) {
    log::Error("the feed cannot be consumed", {{"feed", feed_}, {"error", problem}});
  }
  last_problem_ = problem;
}

absl::Status Consumer::Apply(const Batch& batch) {
  CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kFeedReceived));
  int64_t last_deletion = 0;
  int64_t expected = batch.after;
  for (const Event& event : batch.events) {
    if (event.sequence != ++expected && !fault::Without(fault::Guard::kSequencer)) {
      return absl::FailedPreconditionError(
          absl::StrCat("the feed ", feed_, " has a gap: ", event.sequence, " instead of ", expected));
    }
    const auto handler = handlers_.find(event.type);
    if (handler != handlers_.end() && handler->second.kind == Kind::kDeletion) last_deletion = event.sequence;
  }
  if (expected != batch.through && !fault::Without(fault::Guard::kSequencer)) {
    return absl::FailedPreconditionError(absl::StrCat("the feed ", feed_, " ends before ", batch.through));
  }

  const Call call = Call::Background(limits::kDefaultDeadline);
  const Event* culprit = nullptr;
  if (fault::Without(fault::Guard::kCheckpointWithin)) {
    CROSSKEY_RETURN_IF_ERROR(
        outbox_.Transact(call, "consumer", [&](Tx& tx) { return Advance(tx, batch, last_deletion); }));
  }
  const absl::Status status = outbox_.Transact(call, "consumer", [&](Tx& tx) -> absl::Status {
    culprit = nullptr;
    const bool within = !fault::Without(fault::Guard::kCheckpointWithin);
    const bool first = within && !fault::Without(fault::Guard::kCheckpointFirst);
    if (first) CROSSKEY_RETURN_IF_ERROR(Advance(tx, batch, last_deletion));
    for (const Event& event : batch.events) {
      culprit = &event;
      tx.set_traceparent(event.traceparent);
      CROSSKEY_RETURN_IF_ERROR(ApplyEvent(tx, event));
    }
    culprit = nullptr;
    return within && !first ? Advance(tx, batch, last_deletion) : absl::OkStatus();
  });
  if (!status.ok() && culprit != nullptr) {
    return absl::Status(status.code(), absl::StrCat("event ", culprit->sequence, " (", culprit->type,
                                                    ") cannot be applied: ", status.message()));
  }
  CROSSKEY_RETURN_IF_ERROR(status);
  stalled_.Set(0);
  position_.Set(static_cast<double>(batch.through));
  for (const Event& event : batch.events) {
    const bool handled = handlers_.count(event.type) > 0;
    log::Debug("consumed an event", {{"feed", feed_},
                                     {"sequence", event.sequence},
                                     {"type", event.type},
                                     {"subject", event.subject},
                                     {"traceparent", event.traceparent}});
    events_.Add({{"feed", feed_}, {"type", handled ? event.type : "other"}, {"handled", handled ? "true" : "false"}})
        .Increment();
  }
  if (on_applied_) on_applied_();
  return absl::OkStatus();
}

absl::Status Consumer::Advance(Tx& tx, const Batch& batch, int64_t last_deletion) {
  CROSSKEY_ASSIGN_OR_RETURN(const int64_t moved,
                            tx.db().Execute(sql::kAdvance, batch.feed_id, batch.through, last_deletion, last_deletion,
                                            feed_, batch.after, batch.feed_id));
  return moved == 1 ? absl::OkStatus() : WhyNotMoved(tx, batch);
}

absl::Status Consumer::WhyNotMoved(Tx& tx, const Batch& batch) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row, (tx.db().QueryOne<std::string, int64_t>(sql::kCheckpoint, feed_)));
  const std::string known = row.has_value() ? std::get<0>(*row) : "";
  if (!known.empty() && known != batch.feed_id) {
    return absl::FailedPreconditionError(
        absl::StrCat("the feed ", feed_, " has the history ", batch.feed_id, " instead of ", known));
  }
  return absl::AbortedError("another consumer has moved the checkpoint of " + feed_);
}

absl::Status Consumer::ApplyEvent(Tx& tx, const Event& event) {
  const auto handler = handlers_.find(event.type);
  if (handler == handlers_.end()) return absl::OkStatus();
  const absl::Status status = handler->second.effect(tx, event);
  const auto sql_error = db::SqlErrorOf(status);
  const bool transient = sql_error == db::SqlError::kRetry || sql_error == db::SqlError::kConnection;
  if (status.ok() || handler->second.kind != Kind::kHint || transient) return status;
  log::Warning("skipped a hint", {{"type", event.type}, {"sequence", event.sequence}});
  return absl::OkStatus();
}

}  // namespace crosskey::events
