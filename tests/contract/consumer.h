// One service as a process whose peer is a stub: it consumes what a test delivers.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "event/v1/event.pb.h"
#include "tests/contract/case.h"
#include "tests/contract/stub.h"
#include "tests/contract/variables.h"
#include "tests/support/child_process.h"
#include "tests/support/test_database.h"

namespace crosskey::contract {

class Consumer {
 public:
  // Starts it on an empty database of its own. `name` is "user-service" or "post-service".
  Consumer(const std::string& backend, const std::string& name);

  // From now on the peer answers that the rows named by the state exist ("user ada" for post-service, "post hello of
  // ada" for user-service), and agrees to every deletion.
  void KnowReferences(const std::vector<std::string>& state, const Variables& variables);
  // Makes a call, and sets the variables of its answer.
  void Do(const EventCase::Step& step, Variables& variables);
  // Delivers the event as the next one of the feed. Returns its sequence number.
  int64_t Deliver(event::v1::Event event);

  // The types of events that it asks for, once it has.
  std::set<std::string> Wanted() const;
  // The sequence number of the last event that took effect.
  int64_t Sequence() const;
  bool Stalled() const;
  // The metric crosskey_consumer_events_total.
  int64_t Consumed(const std::string& type, bool handled) const;

  testing::TestDatabase& database() { return database_; }

 private:
  int64_t Metric(const std::string& name, const std::string& more_labels = "") const;

  const std::string name_;
  const std::string peer_;
  testing::TestDatabase database_;
  Stub stub_;
  const int port_;
  const int metrics_port_;
  std::unique_ptr<testing::ChildProcess> process_;
  int64_t delivered_ = 0;
};

}  // namespace crosskey::contract
