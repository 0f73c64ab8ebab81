// What both services are built on: database, event log, listeners, background workers, and their beginning and end.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/db/database.h"
#include "common/db/leases.h"
#include "common/db/migrations.h"
#include "common/events/consumer.h"
#include "common/events/event_rpc.h"
#include "common/events/feed.h"
#include "common/events/grpc_transport.h"
#include "common/events/outbox.h"
#include "common/events/peer_watch.h"
#include "common/events/sequencer.h"
#include "common/events/trim.h"
#include "common/idempotency/answers.h"
#include "common/process/options.h"
#include "common/process/worker.h"
#include "common/rpc/calls.h"
#include "common/rpc/listener.h"
#include "common/telemetry/metrics.h"

namespace crosskey::server {

using MigrationsOf = const std::vector<db::Migration>& (*)(db::Dialect);

// For tests; empty in production.
struct Hooks {
  db::StatementObserver observer;       // is told of every SQL statement
  std::function<absl::Time()> now;      // the clock for the age of deletions and events
  std::function<bool()> hold_reclaim;   // while true, hidden rows are not removed
  std::function<bool()> hold_consumer;  // while true, no event is taken in
  bool migrate = false;                 // MySQL too gets its schema when it is first reachable
  bool no_drain_grace = false;          // stop as soon as no call is in flight
  std::function<bool()> hold_recovery;  // while true, unfinished deletions are left alone
};

// A gRPC service and its full name, for the health service.
struct Service {
  std::string name;
  grpc::Service* service;
};

class Backbone {
 public:
  struct Settings {
    process::Options options;
    std::string name;  // "user-service": the source of its events
    std::string peer;  // the other service, by the name of its feed
    MigrationsOf migrations;
    Hooks hooks;
    absl::Duration statement_timeout = absl::Seconds(30);  // MySQL: the longest a statement may take
  };

  // Builds everything that needs no database. INVALID_ARGUMENT: the options.
  static absl::StatusOr<std::unique_ptr<Backbone>> Create(Settings settings);
  ~Backbone();  // Stop()

  telemetry::Metrics& metrics() { return metrics_; }
  db::Database& database() { return database_; }
  events::Outbox& outbox() { return outbox_; }
  const std::shared_ptr<grpc::Channel>& peer() const { return peer_; }
  events::GrpcTransport& transport() { return transport_; }
  idempotency::Answers& answers() { return answers_; }
  const events::PeerWatch& peer_watch() const { return peer_watch_; }
  const std::function<absl::Time()>& now() const { return now_; }
  const std::shared_ptr<rpc::Admission>& admission() const { return admission_; }
  const std::shared_ptr<rpc::Admission>& internal_admission() const { return internal_admission_; }

  // A background thread; starts once the database is ready, stops with the rest. `wake` of the result is thread-safe.
  Worker& AddWorker(const std::string& name, Worker::Round round);

  // The same for what one replica does for all: a round is run only while this process holds the lease `name`, of the
  // table `leases`, and at least every 5 s, so that it is renewed. The others look again every second.
  // `needs_peer`: while the peer does not answer this process, another one may have the lease.
  Worker& AddLeasedWorker(const std::string& name, Worker::Round round, bool needs_peer = false);

  // A leased worker that removes what deletions have hidden: each of the rounds says whether it has more to do. Wake it when
  // there is something new.
  Worker& AddReclaimer(std::vector<std::function<absl::StatusOr<bool>(const Call&)>> rounds);

  // A leased worker that runs the consumer from the peer's feed again whenever the stream has ended.
  void AddConsumer(events::Consumer& consumer);

  // Opens the listeners, NOT_SERVING until the database is reachable and has its schema (which SQLite gets here).
  // Returns at once. The internal listener has its own threads and admission and serves EventService as well.
  absl::Status Serve(const std::vector<Service>& services, const std::vector<Service>& internal_services);

  // True once it has been SERVING.
  bool ready() const { return ready_; }
  int port() const { return listener_->port(); }
  int internal_port() const { return internal_listener_->port(); }

  // NOT_SERVING, and new calls are refused with DRAINING, while those in flight finish; then the listeners close, and the
  // workers end. At most 10 s. The refusals go on for 300 ms at least, which tells clients more than a connection
  // that ends.
  void Stop();

 private:
  Backbone(Settings settings, db::DatabaseOptions database);

  absl::Duration Monitor(const Call& call);
  void SetServing(bool serving);
  void DrainCalls(absl::Time deadline) const;
  absl::Status PrepareDatabase(const Call& call);
  absl::Duration NumberEvents(const Call& call);
  absl::Duration WatchPeer(const Call& call);
  absl::Duration TrimEvents(const Call& call);
  absl::Duration PurgeAnswers(const Call& call);
  absl::Duration Reclaim(const Call& call,
                         const std::vector<std::function<absl::StatusOr<bool>(const Call&)>>& rounds) const;
  bool Holds(const Call& call, const std::string& lease);
  absl::Duration LetAnotherTry(const std::string& lease);

  const Settings settings_;
  const std::function<absl::Time()> now_;
  telemetry::Metrics metrics_;
  db::Database database_;
  db::Leases leases_;
  idempotency::Answers answers_;
  events::Feed feed_;
  events::Sequencer sequencer_;
  Worker sequencer_worker_;
  events::Outbox outbox_;
  std::shared_ptr<grpc::Channel> peer_;
  events::GrpcTransport transport_;
  events::PeerWatch peer_watch_;
  events::Trim trim_;
  std::shared_ptr<rpc::Admission> admission_;
  std::shared_ptr<rpc::Admission> internal_admission_;
  events::EventRpc event_rpc_;
  std::unique_ptr<telemetry::MetricsServer> metrics_server_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<rpc::Listener> listener_;
  std::unique_ptr<rpc::Listener> internal_listener_;
  Worker monitor_;
  prometheus::Gauge& serving_;
  std::atomic<bool> ready_ = false;
  std::string last_problem_;  // the monitor's, so that it is logged once
  bool stopped_ = false;
};

}  // namespace crosskey::server
