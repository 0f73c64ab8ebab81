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
  explicit Tx(db::Tx& db) : db_(db) {}
  Tx(const Tx&) = delete;
  Tx& operator=(const Tx&) = delete;

  db::Tx& db() { return db_; }
  // Stored when the body has returned OK, in the order of the calls, before the commit.
  void Append(Draft draft) { drafts_.push_back(std::move(draft)); }

 private:
  friend class Outbox;
  db::Tx& db_;
  std::vector<Draft> drafts_;
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
