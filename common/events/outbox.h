// The transactional outbox: an event is stored by the transaction that makes the change, or there is neither.
// (Pattern: Transactional outbox, C. Richardson, "Microservices Patterns", 2018.)
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
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
  // Stored when the body has returned OK, in the order of the calls, before the commit.
  void Append(Draft draft) {
    draft.traceparent = traceparent_;
    drafts_.push_back(std::move(draft));
  }
  // On whose behalf the rest of the body works: that of the call, unless it goes on with what another one has begun.
  void set_traceparent(const std::string& traceparent) { traceparent_ = traceparent; }
  const std::string& traceparent() const { return traceparent_; }
  // Called once after the commit, and not without one: for metrics.
  void OnCommit(std::function<void()> then) { on_commit_.push_back(std::move(then)); }

 private:
  friend class Outbox;
  db::Tx& db_;
  std::string traceparent_;
  std::vector<Draft> drafts_;
  std::vector<std::function<void()>> on_commit_;
};

// The write side of a service's event log. Thread-safe.
class Outbox {
 public:
  // `on_append` is called after each commit that published something.
  Outbox(db::Database& database, std::function<void()> on_append)
      : database_(database), on_append_(std::move(on_append)) {}

  // db::Database::Transact with events, and with call.record once the body has returned OK. The body may run several
  // times; only the last run's events are stored.
  absl::Status Transact(const Call& call, const char* name, const std::function<absl::Status(Tx&)>& body);

  db::Database& database() { return database_; }

 private:
  db::Database& database_;
  const std::function<void()> on_append_;
};

}  // namespace crosskey::events
