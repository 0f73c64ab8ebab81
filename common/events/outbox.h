// The transactional outbox: the transaction that makes a change also stores its event, so there are both or neither.
// (Pattern: Transactional outbox, C. Richardson, "Microservices Patterns", 2018.)
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/db/database.h"
#include "common/events/event.h"

namespace crosskey::events {

// A write transaction that can publish. There is no other way to emit an event.
class Tx {
 public:
  Tx(db::Tx& db, std::string traceparent) : db_(db), traceparent_(std::move(traceparent)) {}
  Tx(const Tx&) = delete;
  Tx& operator=(const Tx&) = delete;

  db::Tx& db() { return db_; }
  // The event is stored after the body has returned OK and before the commit, in the order of these calls.
  void Append(Draft draft) {
    draft.traceparent = traceparent_;
    drafts_.push_back(std::move(draft));
  }
  // The trace context of the rest of the body, which its events get. At first it is the call's own; a body that goes on
  // with what an earlier call has begun sets the context of that call.
  void set_traceparent(const std::string& traceparent) { traceparent_ = traceparent; }
  const std::string& traceparent() const { return traceparent_; }
  void OnCommit(std::function<void()> then) { db_.OnCommit(std::move(then)); }

 private:
  friend class Outbox;
  db::Tx& db_;
  std::string traceparent_;
  std::vector<Draft> drafts_;
};

// The write side of a service's event log. Thread-safe.
class Outbox {
 public:
  // `on_append` is called after each commit that published something.
  Outbox(db::Database& database, std::function<void()> on_append)
      : database_(database), on_append_(std::move(on_append)) {}

  // db::Database::Transact with events. The body may run several times; only the last run's events are stored.
  template <typename Body>
  std::invoke_result_t<Body&, Tx&> Transact(const Call& call, const char* name, Body&& body) {
    using Result = std::invoke_result_t<Body&, Tx&>;
    return database_.Transact(call, name, [&](db::Tx& db) -> Result {
      Tx tx(db, call.traceparent);
      Result result = body(tx);
      const absl::StatusOr<db::End> end = db::EndOf(result);
      if (!end.ok() || *end == db::End::kRollBack) return result;
      CROSSKEY_RETURN_IF_ERROR(Store(tx));
      return result;
    });
  }

  db::Database& database() { return database_; }

 private:
  absl::Status Store(Tx& tx);

  db::Database& database_;
  const std::function<void()> on_append_;
};

}  // namespace crosskey::events
