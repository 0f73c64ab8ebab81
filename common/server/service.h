// What both services are built on. It owns database, event log, front and background work, and starts and stops them.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/db/database.h"
#include "common/db/leases.h"
#include "common/db/migrations.h"
#include "common/events/event_rpc.h"
#include "common/events/feed.h"
#include "common/events/grpc_transport.h"
#include "common/events/history.h"
#include "common/events/nats_publisher.h"
#include "common/events/nats_transport.h"
#include "common/events/outbox.h"
#include "common/events/pairing.h"
#include "common/events/peer_watch.h"
#include "common/events/sequencer.h"
#include "common/events/trim.h"
#include "common/idempotency/answers.h"
#include "common/process/options.h"
#include "common/process/worker.h"
#include "common/relation/parent/given_ids.h"
#include "common/server/background.h"
#include "common/server/front.h"
#include "common/server/hooks.h"
#include "common/server/security.h"
#include "common/telemetry/metrics.h"
#include "common/telemetry/metrics_server.h"

namespace crosskey::server {

class Service {
 public:
  struct Settings {
    process::Options options;
    std::string name;       // "user-service": the source of its events
    std::string peer;       // the other service, by the name of its feed
    int request_bytes = 0;  // the largest request that the public listener takes
    db::Schema schema;
    // Checks that the tables are what the service takes them for. FAILED_PRECONDITION is final: the process ends. Any
    // other error is tried again.
    std::function<absl::Status(db::Connection&)> check_tables;
    Hooks hooks;
    absl::Duration statement_timeout = absl::Seconds(30);  // MySQL: the longest a statement may take
  };

  // Builds everything that needs no database. INVALID_ARGUMENT: a file cannot be read or written, or is wrong.
  static absl::StatusOr<std::unique_ptr<Service>> Create(Settings settings);
  ~Service();  // Stop()

  telemetry::Metrics& metrics() { return *metrics_; }
  telemetry::AuditLog* audit() { return security_->audit(); }
  db::Database& database() { return database_; }
  events::Outbox& outbox() { return outbox_; }
  const rpc::PeerChannel& peer() const { return peer_; }
  events::Pairing& pairing() { return pairing_; }
  events::Feed& feed() { return feed_; }
  events::History& history() { return history_; }
  events::GrpcTransport& transport() { return transport_; }
  // Where the peer's events come from: its stream in NATS, if --events is given, or the peer itself.
  events::Transport& event_source() {
    return nats_transport_.is_wanted() ? static_cast<events::Transport&>(nats_transport_) : transport_;
  }
  // The types whose rows the other service refers to. Before Serve.
  void Own(const std::vector<relation::GivenIds>& types);
  idempotency::Answers& answers() { return answers_; }
  const events::PeerWatch& peer_watch() const { return peer_watch_; }
  const std::function<absl::Time()>& now() const { return now_; }
  Front& front() { return front_; }
  rpc::CallLines& lines() { return lines_; }
  Background& background() { return background_; }

  // Opens the listeners and returns at once. Health is NOT_SERVING until the database is reachable and has its schema;
  // the monitor thread migrates SQLite, and only checks MySQL. The internal listener serves EventService as well.
  // UNAVAILABLE: an address cannot be bound.
  absl::Status Serve(const std::vector<Endpoint>& endpoints, std::vector<Endpoint> internal_endpoints);

  // For a command that does not serve: checks the schema, reads the identity, and asks the peer. UNAVAILABLE
  // PEER_UNAVAILABLE, FAILED_PRECONDITION PEER_MISMATCH: it does not answer, or is another one.
  absl::Status Prepare(const Call& call);

  // True once it has been SERVING.
  bool ready() const { return ready_; }
  // The reason why it can never serve, or serve on; OK as long as it may serve some time.
  absl::Status failure() const;

  // Sets health to NOT_SERVING and refuses new calls with DRAINING while those in flight finish, for 10 s at most. Then
  // closes the listeners and ends the workers.
  void Stop();

 private:
  // What has to be there before the rest can be built.
  struct Opened {
    db::DatabaseOptions database;
    std::unique_ptr<telemetry::Metrics> metrics;
    std::unique_ptr<Security> security;
  };

  Service(Settings settings, Opened opened);

  absl::Duration Monitor(const Call& call);
  absl::Duration WatchFront();
  void Fail(const absl::Status& failure);
  void LogProblem(const std::string& problem);
  absl::Status PrepareDatabase(const Call& call);
  absl::Status AddLeases(const Call& call);
  void AskPeerFirst(const Call& call);
  absl::Duration NumberEvents(const Call& call);
  absl::Duration WatchPeer(const Call& call);
  absl::Duration TrimEvents(const Call& call);
  absl::Duration PurgeAnswers(const Call& call);

  const Settings settings_;
  const std::function<absl::Time()> now_;
  const std::unique_ptr<telemetry::Metrics> metrics_;
  const std::unique_ptr<Security> security_;
  db::Database database_;
  db::Leases leases_;
  idempotency::Answers answers_;
  events::Feed feed_;
  events::Sequencer sequencer_;
  Worker sequencer_worker_;
  events::Outbox outbox_;
  events::Pairing pairing_;
  events::History history_;
  const rpc::PeerChannel peer_;
  events::GrpcTransport transport_;
  events::NatsTransport nats_transport_;
  events::NatsPublisher publisher_;
  events::PeerWatch peer_watch_;
  events::Trim trim_;
  batch::Workers workers_;
  rpc::CallLines lines_;
  Front front_;
  events::EventRpc event_rpc_;
  std::unique_ptr<telemetry::MetricsServer> metrics_server_;
  Background background_;
  Worker front_watch_;
  Worker monitor_;
  std::atomic<bool> ready_ = false;
  absl::Time last_numbered_ = absl::InfinitePast();  // only for the sequencer's thread
  bool leases_added_ = false;                        // only for the monitor
  std::string last_problem_;                         // what the monitor has logged last, so that it is logged once
  mutable std::mutex mutex_;                         // guards failure_
  absl::Status failure_;
  bool stopped_ = false;
};

}  // namespace crosskey::server
