// All that a parent service needs for the relationships to one of its types.
#pragma once

#include <functional>
#include <vector>

#include "common/events/consumer.h"
#include "common/events/peer_watch.h"
#include "common/process/worker.h"
#include "common/relation/parent/blocked.h"
#include "common/relation/parent/deletions.h"
#include "common/relation/parent/lookup.h"
#include "common/relation/parent/parent_table.h"

namespace crosskey::relation {

// Thread-safe.
class Parent {
 public:
  // What is passed by reference must outlive it. `now` is the clock of deletions and of the watch.
  Parent(ParentTable registered, events::Outbox& outbox, Peer& peer, const events::PeerWatch& watch,
         std::function<absl::Time()> now, telemetry::Metrics& metrics);
  Parent(const Parent&) = delete;
  Parent& operator=(const Parent&) = delete;

  const ParentTable& table() const { return table_; }
  Deletions& deletions() { return deletions_; }
  Lookup& lookup() { return lookup_; }
  const Blocked& blocked() const { return blocked_; }

  // Tells the consumer what to do with the event that says that nothing refers to a deleted row any more.
  void Consume(events::Consumer& consumer);

  // The background work: it recovers undecided deletions, measures the age of the oldest unfinished one, and removes
  // old records.
  std::vector<process::Task> Tasks();

 private:
  absl::Duration Recover(const Call& call);
  absl::Duration Measure(const Call& call);
  absl::Duration Purge(const Call& call);

  const ParentTable table_;
  Deletions deletions_;
  Lookup lookup_;
  const Blocked blocked_;
  prometheus::Gauge& oldest_unfinished_;
  prometheus::Counter& recovery_failures_;
};

}  // namespace crosskey::relation
