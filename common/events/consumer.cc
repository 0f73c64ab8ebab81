#include "common/events/consumer.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/db/sql_error.h"
#include "common/events/events_sql.h"
#include "common/events/position.h"
#include "common/fault/fault.h"
#include "common/status/errors.h"
#include "common/status/limits.h"
#include "common/telemetry/log.h"

namespace crosskey::events {
namespace {

constexpr size_t kMoreAtOnce = 10;  // events, after each transaction that has gone through

// Adds the event to the message of an error. The payloads are kept: they say which kind of database error it is.
absl::Status NameTheEvent(const absl::Status& status, const Event& event) {
  if (status.ok()) return status;
  absl::Status named(status.code(), absl::StrCat("event ", Value(event.sequence), " (", event.type,
                                                 ") cannot be applied: ", status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) { named.SetPayload(url, payload); });
  return named;
}

}  // namespace

Consumer::Consumer(std::string feed, Outbox& outbox, Transport& transport, std::function<void()> on_applied,
                   telemetry::Metrics& metrics)
    : feed_(std::move(feed)),
      outbox_(outbox),
      transport_(transport),
      on_applied_(std::move(on_applied)),
      stalled_(metrics.Gauge("crosskey_consumer_stalled", "1 while an event of the feed cannot be applied.",
                             {{"feed", feed_}})),
      position_(metrics.Gauge("crosskey_consumer_sequence", "The last event of the feed that took effect.",
                              {{"feed", feed_}})),
      events_(metrics.Counters("crosskey_consumer_events_total",
                               "Events consumed, by type; handled=false: nobody asked for the type.")),
      passed_over_(events_.Add({{"feed", feed_}, {"type", "other"}, {"handled", "false"}})) {}

void Consumer::On(const google::protobuf::Descriptor& type, Kind kind, Effect effect) {
  const auto* prototype = google::protobuf::MessageFactory::generated_factory()->GetPrototype(&type);
  prometheus::Counter& consumed = events_.Add({{"feed", feed_}, {"type", type.full_name()}, {"handled", "true"}});
  handlers_[type.full_name()] = {kind, prototype, std::move(effect), &consumed};
}

absl::StatusOr<Consumer::Position> Consumer::ReadCheckpoint(const Call& call) {
  return outbox_.database().Read(call, [&](db::Connection& connection) -> absl::StatusOr<Position> {
    CROSSKEY_ASSIGN_OR_RETURN(
        const auto row,
        (connection.QueryOne<std::string, Sequence, std::string, HistoryState, std::string>(sql::kCheckpoint, feed_)));
    if (!row.has_value()) return absl::InternalError("no checkpoint row for the feed " + feed_);
    const auto& [feed_id, last, event_id, state, reason] = *row;
    if (state == HistoryState::kRepairing) return absl::UnavailableError("the feed " + feed_ + " is being repaired");
    if (state != HistoryState::kGoesOn) return errors::HistoryMismatch(feed_, reason);
    return Position{feed_id, last, event_id};
  });
}

absl::Status Consumer::Run(const Call& call, const std::function<absl::Status()>& before_each) {
  const absl::StatusOr<Position> checkpoint = ReadCheckpoint(call);
  if (!checkpoint.ok()) {
    NoteEnd(checkpoint.status());
    return checkpoint.status();
  }
  const Position& position = *checkpoint;
  std::string feed_id = position.feed_id;
  position_.Set(static_cast<double>(Value(position.last)));
  const auto may_go_on = [&]() -> absl::Status {
    if (call.cancelled && call.cancelled()) return absl::CancelledError("the consumer stops");
    return before_each ? before_each() : absl::OkStatus();
  };
  const auto deliver = [&](const Batch& batch) -> absl::Status {
    CROSSKEY_RETURN_IF_ERROR(may_go_on());
    if (!batch.is_bookmark()) {
      CROSSKEY_RETURN_IF_ERROR(Apply(batch, may_go_on));
      feed_id = batch.feed_id;
      return absl::OkStatus();
    }
    stalled_.Set(0);  // every event before it has been applied
    last_progress_ = absl::Now();
    return absl::OkStatus();
  };
  const absl::Status end =
      transport_.Stream({feed_, position.feed_id, position.last, position.event_id}, HandledTypes(), deliver);
  NoteMismatch(end, feed_id);
  NoteEnd(end);
  return end;
}

// Some ends pass by themselves: the peer or the database is away or busy, another process consumes, or this one stops.
// Any other problem stays until somebody mends it, so it is logged and sets the metric.
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

// Stores that the feed does not go on, so that it stays known even if the feed grows past the checkpoint. The last word
// of a stream may come when a repair has ended already: that one says nothing of the new history.
void Consumer::NoteMismatch(const absl::Status& end, const std::string& feed_id) {
  using errors::Reason;
  const Reason reason = errors::ReasonOf(end);
  if (reason != Reason::kHistoryMismatch && reason != Reason::kFeedMismatch && reason != Reason::kEventsTrimmed) return;
  std::string why(end.message());
  const std::string prefix(errors::HistoryMismatch(feed_, "").message());
  if (absl::StartsWith(why, prefix)) why.erase(0, prefix.size());
  const absl::Status noted =
      outbox_.Transact(Call::Background(limits::kDefaultDeadline), "consumer.mismatch", [&](Tx& tx) -> absl::Status {
        CROSSKEY_RETURN_IF_ERROR(LockWholePosition(tx.db(), feed_));
        return tx.db().Execute(sql::kMismatch, errors::Shortened(why, 400), feed_, feed_, feed_id).status();
      });
  if (!noted.ok()) log::Warning("could not store a mismatch", {{"error", std::string(noted.message())}});
}

std::vector<std::string> Consumer::HandledTypes() const {
  std::vector<std::string> types;
  for (const auto& [type, handler] : handlers_) types.push_back(type);
  return types;
}

absl::Status Consumer::CheckGapless(const Batch& batch) const {
  Sequence last = batch.after;
  for (const Event& event : batch.events) {
    if (event.sequence <= last || event.sequence > batch.through) {
      return absl::FailedPreconditionError(absl::StrCat("the feed ", feed_, " is out of order: ", Value(event.sequence),
                                                        " after ", Value(last), ", up to ", Value(batch.through)));
    }
    last = event.sequence;
  }
  const int64_t all = Value(batch.through) - Value(batch.after);
  const auto sent = static_cast<int64_t>(batch.events.size());
  if (batch.left_out >= 0 && batch.left_out == all - sent) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("the feed ", feed_, " has a gap: from ", Value(batch.after), " to ",
                                                    Value(batch.through), " it has ", sent, " events and leaves out ",
                                                    batch.left_out));
}

Sequence Consumer::LastDeletionOf(const Part& part) const {
  const auto last = std::find_if(part.events.rbegin(), part.events.rend(), [this](const Event& event) {
    const auto handler = handlers_.find(event.type);
    return handler != handlers_.end() && handler->second.kind == Kind::kDeletion;
  });
  return last == part.events.rend() ? Sequence{} : last->sequence;
}

Consumer::Part Consumer::PartOf(const Batch& batch, size_t begin, size_t end) {
  Part part{batch.feed_id, batch.after, batch.through, batch.through_id,
            absl::MakeConstSpan(batch.events).subspan(begin, end - begin)};
  if (begin > 0) part.after = batch.events[begin - 1].sequence;
  if (end < batch.events.size()) part.through = part.events.back().sequence;
  if (!part.events.empty() && part.events.back().sequence == part.through) part.through_id = part.events.back().id;
  return part;
}

absl::Status Consumer::Apply(const Batch& batch, const std::function<absl::Status()>& before_next) {
  CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kFeedReceived));
  CROSSKEY_RETURN_IF_ERROR(CheckGapless(batch));
  size_t begin = 0;
  bool is_first = true;
  do {
    if (!std::exchange(is_first, false) && before_next) CROSSKEY_RETURN_IF_ERROR(before_next());
    const size_t end = std::min(begin + at_once_, batch.events.size());
    const absl::Status status = ApplyPart(PartOf(batch, begin, end));
    const bool is_too_much = absl::IsDeadlineExceeded(status) || errors::Is(status, errors::Reason::kConflict);
    if (is_too_much && end - begin > 1) {
      at_once_ = (end - begin) / 2;
      continue;
    }
    CROSSKEY_RETURN_IF_ERROR(status);
    at_once_ = std::min<size_t>(at_once_ + kMoreAtOnce, limits::kEventBatch);
    begin = end;
  } while (begin < batch.events.size());
  return absl::OkStatus();
}

absl::Status Consumer::ApplyPart(const Part& part) {
  const Sequence last_deletion = LastDeletionOf(part);
  const Call call = Call::Background(limits::kDefaultDeadline);
  CROSSKEY_RETURN_IF_ERROR(outbox_.Transact(call, "consumer", [&](Tx& tx) -> absl::Status {
    // What it has waited for a session, or for the turn to write, has nothing to do with how much it does. One event
    // alone gets the time that it needs.
    const absl::Time enough = part.events.size() > 1 ? absl::Now() + limits::kApplyTime : absl::InfiniteFuture();
    CROSSKEY_RETURN_IF_ERROR(Advance(tx, part, last_deletion));
    for (const Event& event : part.events) {
      if (absl::Now() > enough) return absl::DeadlineExceededError("too many events for one transaction");
      tx.set_traceparent(event.traceparent);
      CROSSKEY_RETURN_IF_ERROR(NameTheEvent(ApplyEvent(tx, event), event));
    }
    return absl::OkStatus();
  }));
  NoteApplied(part);
  return absl::OkStatus();
}

void Consumer::NoteApplied(const Part& part) {
  stalled_.Set(0);
  last_progress_ = absl::Now();
  position_.Set(static_cast<double>(Value(part.through)));
  for (const Event& event : part.events) {
    log::Debug("consumed an event", {{"feed", feed_},
                                     {"sequence", Value(event.sequence)},
                                     {"type", event.type},
                                     {"subject", event.subject},
                                     {"traceparent", event.traceparent}});
    const auto handler = handlers_.find(event.type);
    (handler == handlers_.end() ? passed_over_ : *handler->second.consumed).Increment();
  }
  const int64_t left_out = Value(part.through) - Value(part.after) - static_cast<int64_t>(part.events.size());
  passed_over_.Increment(static_cast<double>(left_out));
  if (on_applied_ && !part.events.empty()) on_applied_();
}

absl::Status Consumer::Advance(Tx& tx, const Part& part, Sequence last_deletion) {
  CROSSKEY_ASSIGN_OR_RETURN(const int64_t moved,
                            tx.db().Execute(sql::kAdvance, part.feed_id, part.through, last_deletion, last_deletion,
                                            feed_, part.after, part.feed_id));
  if (moved != 1) return WhyNotMoved(tx, part);
  CROSSKEY_ASSIGN_OR_RETURN(const int64_t noted,
                            tx.db().Execute(sql::kNoteConsumed, part.through, part.through_id, feed_));
  return noted == 1 ? absl::OkStatus() : absl::AbortedError("the feed " + feed_ + " must not be consumed");
}

absl::Status Consumer::WhyNotMoved(Tx& tx, const Part& part) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row,
                            (tx.db().QueryOne<std::string, Sequence, HistoryState>(sql::kConsumed, feed_)));
  const std::string known = row.has_value() ? std::get<0>(*row) : "";
  if (!known.empty() && known != part.feed_id) {
    return errors::HistoryMismatch(feed_, absl::StrCat("its history is ", part.feed_id, " instead of ", known));
  }
  return absl::AbortedError("another consumer has moved the checkpoint of " + feed_);
}

absl::Status Consumer::ApplyEvent(Tx& tx, const Event& event) {
  const auto found = handlers_.find(event.type);
  if (found == handlers_.end()) return absl::OkStatus();
  const Handler& handler = found->second;
  const std::unique_ptr<google::protobuf::Message> payload(handler.prototype->New());
  const absl::Status status = payload->ParseFromString(event.payload)
                                  ? handler.effect(tx, event, *payload)
                                  : absl::InvalidArgumentError("undecodable " + event.type);
  const auto sql_error = db::SqlErrorOf(status);
  const bool transient = sql_error.has_value() && db::Passes(*sql_error);
  const bool mismatch = errors::Is(status, errors::Reason::kHistoryMismatch);
  if (status.ok() || handler.kind != Kind::kHint || transient || mismatch) return status;
  log::Warning("skipped a hint", {{"type", event.type}, {"sequence", Value(event.sequence)}});
  return absl::OkStatus();
}

}  // namespace crosskey::events
