#include "common/server/backbone.h"

#include <fstream>
#include <sstream>

#include <prometheus/gauge.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "common/db/url.h"
#include "common/rpc/channel.h"
#include "common/status/limits.h"
#include "common/telemetry/log.h"

namespace crosskey::server {
namespace {

constexpr absl::Duration kDrain = absl::Seconds(10);
constexpr absl::Duration kClose = absl::Milliseconds(500);
constexpr absl::Duration kDrainGrace = absl::Milliseconds(300);
constexpr absl::Duration kFlush = absl::Milliseconds(100);
constexpr absl::Duration kMonitorPeriod = absl::Seconds(1);
// How long the sequencer rests when nobody wakes it: another process may have appended events.
constexpr absl::Duration kSequencerPeriod = absl::Milliseconds(250);
constexpr absl::Duration kReconnect = absl::Milliseconds(100);
constexpr absl::Duration kStandby = absl::Seconds(1);  // until a replica without the lease looks again
constexpr absl::Duration kDeaf = absl::Seconds(5);     // without the peer, until another replica may try
constexpr absl::Duration kWatchPeriod = absl::Seconds(2);
constexpr absl::Duration kPurgePeriod = absl::Minutes(1);
constexpr absl::Duration kTrimPeriod = absl::Seconds(2);
constexpr absl::Duration kYield = absl::Milliseconds(5);     // between batches of a large removal
constexpr absl::Duration kReclaimPeriod = absl::Seconds(1);  // when nobody wakes it
constexpr absl::Duration kHold = absl::Milliseconds(50);
constexpr absl::Duration kRelease = absl::Seconds(1);
constexpr int kInternalInFlight = 256;
constexpr int kThreadReserve = 256;  // for calls that are about to be refused, health, reflection and feeds

absl::StatusOr<std::string> ReadPassword(const std::string& path) {
  if (path.empty()) return "";
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return absl::InvalidArgumentError("--db-password-file: cannot read " + path);
  std::string password = text.str();
  while (!password.empty() && (password.back() == '\n' || password.back() == '\r')) password.pop_back();
  return password;
}

// Names the place, so that a process that is started there again has its leases at once.
std::string LeaseHolder(const std::string& internal_listen) {
  char host[256] = "";
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat(host, " ", internal_listen);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Backbone>> Backbone::Create(Settings settings) {
  db::DatabaseOptions database;
  CROSSKEY_ASSIGN_OR_RETURN(database.url, db::ParseUrl(settings.options.db));
  CROSSKEY_ASSIGN_OR_RETURN(database.password, ReadPassword(settings.options.db_password_file));
  database.pool_size = settings.options.db_pool;
  database.statement_timeout = settings.statement_timeout;
  return std::unique_ptr<Backbone>(new Backbone(std::move(settings), std::move(database)));
}

Backbone::Backbone(Settings settings, db::DatabaseOptions database)
    : settings_(std::move(settings)),
      now_(settings_.hooks.now ? settings_.hooks.now : [] { return absl::Now(); }),
      metrics_(settings_.name, CROSSKEY_VERSION),
      database_(std::move(database), metrics_),
      leases_(database_, LeaseHolder(settings_.options.internal_listen)),
      answers_(database_, now_),
      feed_(database_, settings_.name),
      sequencer_(database_),
      sequencer_worker_("sequencer", limits::kDefaultDeadline, [this](const Call& call) { return NumberEvents(call); }),
      outbox_(database_, [this] { sequencer_worker_.Wake(); }),
      peer_(rpc::Connect(settings_.options.peer)),
      transport_(peer_),
      peer_watch_(settings_.name, settings_.peer, feed_, transport_, now_, metrics_),
      trim_(database_, feed_),
      admission_(std::make_shared<rpc::Admission>(settings_.options.max_in_flight)),
      internal_admission_(std::make_shared<rpc::Admission>(kInternalInFlight)),
      event_rpc_(feed_, internal_admission_, metrics_),
      monitor_("monitor", limits::kDefaultDeadline, [this](const Call& call) { return Monitor(call); }),
      serving_(prometheus::BuildGauge()
                   .Name("crosskey_ready")
                   .Help("1 while the service is SERVING.")
                   .Register(metrics_.registry())
                   .Add({})) {
  if (settings_.hooks.observer) database_.set_observer(settings_.hooks.observer);
  AddWorker("watch", [this](const Call& call) { return WatchPeer(call); });
  AddLeasedWorker(
      "trim", [this](const Call& call) { return TrimEvents(call); }, true);
  AddLeasedWorker("requests", [this](const Call& call) { return PurgeAnswers(call); });
}

Backbone::~Backbone() { Stop(); }

Worker& Backbone::AddWorker(const std::string& name, Worker::Round round) {
  workers_.push_back(std::make_unique<Worker>(name, limits::kDefaultDeadline, std::move(round)));
  return *workers_.back();
}

Worker& Backbone::AddLeasedWorker(const std::string& name, Worker::Round round, bool needs_peer) {
  return AddWorker(name, [this, name, needs_peer, round = std::move(round)](const Call& call) {
    if (!Holds(call, name)) return kStandby;
    const absl::Duration pause = std::min(round(call), limits::kLease / 3);
    const events::PeerWatch::View seen = peer_watch_.view();
    return needs_peer && seen.asked && !seen.answers ? LetAnotherTry(name) : pause;
  });
}

// It may be this process alone that cannot reach the peer.
absl::Duration Backbone::LetAnotherTry(const std::string& lease) {
  const absl::Status released = leases_.Release(Call::Background(kRelease), lease);
  if (!released.ok()) log::Debug("a lease runs out by itself", {{"lease", lease}});
  return 2 * kStandby;
}

bool Backbone::Holds(const Call& call, const std::string& lease) {
  const absl::StatusOr<bool> held = leases_.Hold(call, lease);
  // That the database is away is the monitor's to say.
  if (!held.ok() && !absl::IsUnavailable(held.status()) && call.Check().ok()) {
    log::Warning("could not ask for a lease", {{"lease", lease}, {"error", std::string(held.status().message())}});
  }
  return held.ok() && *held;
}

Worker& Backbone::AddReclaimer(std::vector<std::function<absl::StatusOr<bool>(const Call&)>> rounds) {
  return AddLeasedWorker("reclaim",
                         [this, rounds = std::move(rounds)](const Call& call) { return Reclaim(call, rounds); });
}

absl::Duration Backbone::Reclaim(const Call& call,
                                 const std::vector<std::function<absl::StatusOr<bool>(const Call&)>>& rounds) const {
  if (settings_.hooks.hold_reclaim && settings_.hooks.hold_reclaim()) return kHold;
  bool any = false;
  for (const auto& round : rounds) {
    const absl::StatusOr<bool> more = round(call);
    if (!more.ok()) log::Warning("the reclaim was interrupted", {{"error", std::string(more.status().message())}});
    any = any || (more.ok() && *more);
  }
  return any ? kYield : kReclaimPeriod;
}

void Backbone::AddConsumer(events::Consumer& consumer) {
  std::optional<absl::Time> heard;  // when something arrived, or this process began to listen
  AddLeasedWorker("consumer", [this, &consumer, heard](const Call& call) mutable {
    if (settings_.hooks.hold_consumer && settings_.hooks.hold_consumer()) return kReconnect;
    if (!heard.has_value()) heard = absl::Now();
    // Bookmarks arrive in time to renew the lease.
    const absl::Status end = consumer.Run(call, [&]() -> absl::Status {
      heard = absl::Now();
      if (Holds(Call::Background(limits::kDefaultDeadline), "consumer")) return absl::OkStatus();
      return absl::CancelledError("another replica consumes");
    });
    log::Debug("the peer's feed has ended", {{"reason", std::string(end.message())}});
    if (absl::Now() - *heard < kDeaf) return kReconnect;
    heard.reset();
    return LetAnotherTry("consumer");
  });
}

absl::Duration Backbone::WatchPeer(const Call& call) {
  const absl::Status status = peer_watch_.Round(call);
  if (!status.ok()) log::Warning("could not look how far events are", {{"error", std::string(status.message())}});
  return kWatchPeriod;
}

absl::Duration Backbone::TrimEvents(const Call& call) {
  const events::FeedPosition consumed = peer_watch_.view().of_peer;
  const absl::StatusOr<int64_t> removed = trim_.Round(call, consumed, now_() - settings_.options.event_retention);
  if (!removed.ok()) log::Warning("could not remove old events", {{"error", std::string(removed.status().message())}});
  return removed.ok() && *removed == limits::kTrimBatch ? kYield : kTrimPeriod;
}

absl::Duration Backbone::PurgeAnswers(const Call& call) {
  const absl::StatusOr<bool> more = answers_.Purge(call);
  if (!more.ok()) log::Warning("could not remove old answers", {{"error", std::string(more.status().message())}});
  return more.ok() && *more ? kYield : kPurgePeriod;
}

absl::Status Backbone::Serve(const std::vector<Service>& services, const std::vector<Service>& internal_services) {
  const process::Options& options = settings_.options;
  if (!options.metrics_listen.empty()) {
    CROSSKEY_ASSIGN_OR_RETURN(metrics_server_, telemetry::MetricsServer::Start(metrics_, options.metrics_listen));
  }

  rpc::Listener::Options internal{options.internal_listen, kInternalInFlight + kThreadReserve, false, {}};
  std::vector<grpc::Service*> internal_list = {&event_rpc_};
  internal.health_names.push_back("event.v1.EventService");
  for (const Service& service : internal_services) {
    internal.health_names.push_back(service.name);
    internal_list.push_back(service.service);
  }
  CROSSKEY_ASSIGN_OR_RETURN(internal_listener_, rpc::Listener::Start(internal, internal_list));

  rpc::Listener::Options external{options.listen, options.max_in_flight + kThreadReserve, true, {}};
  std::vector<grpc::Service*> list;
  for (const Service& service : services) {
    external.health_names.push_back(service.name);
    list.push_back(service.service);
  }
  CROSSKEY_ASSIGN_OR_RETURN(listener_, rpc::Listener::Start(external, list));

  log::Info("listening", {{"listen", options.listen},
                          {"port", port()},
                          {"internal_port", internal_port()},
                          {"metrics", options.metrics_listen}});
  monitor_.Start();
  return absl::OkStatus();
}

absl::Status Backbone::PrepareDatabase(const Call& call) {
  const auto& migrations = settings_.migrations(database_.dialect());
  if (database_.dialect() == db::Dialect::kSqlite || settings_.hooks.migrate) {
    CROSSKEY_RETURN_IF_ERROR(db::Migrate(database_, call, migrations));
  } else {
    CROSSKEY_RETURN_IF_ERROR(db::CheckSchema(database_, call, migrations));
  }
  return feed_.EnsureNamed(call);
}

absl::Duration Backbone::Monitor(const Call& call) {
  Call probe = call;
  probe.deadline = absl::Now() + (ready_ ? absl::Seconds(5) : limits::kDefaultDeadline);
  const absl::Status status = ready_ ? feed_.Info(probe).status() : PrepareDatabase(probe);
  if (call.cancelled()) return kMonitorPeriod;
  if (status.ok() && !ready_) {
    sequencer_worker_.Start();
    for (const auto& worker : workers_) worker->Start();
    admission_->Open();
    internal_admission_->Open();
    ready_ = true;
    log::Info("serving");
  }
  const std::string problem = status.ok() ? "" : std::string(status.message());
  if (problem != last_problem_) {
    if (problem.empty()) {
      log::Info("the database is back");
    } else {
      log::Error("not serving", {{"error", problem}});
    }
    last_problem_ = problem;
  }
  // A database that is merely busy is no reason to be taken out of service: then nobody would serve.
  const bool serving = status.ok() || (ready_ && status.code() == absl::StatusCode::kResourceExhausted);
  SetServing(serving);
  return kMonitorPeriod;
}

void Backbone::SetServing(bool serving) {
  serving_.Set(serving ? 1 : 0);
  if (listener_ != nullptr) listener_->SetServing(serving);
  if (internal_listener_ != nullptr) internal_listener_->SetServing(serving);
}

absl::Duration Backbone::NumberEvents(const Call& call) {
  const absl::StatusOr<int64_t> numbered = sequencer_.Round(call);
  if (!numbered.ok()) {
    log::Warning("the sequencer could not number events", {{"error", std::string(numbered.status().message())}});
    return kMonitorPeriod;
  }
  if (*numbered > 0) feed_.news().Notify();
  return *numbered == limits::kEventBatch ? absl::ZeroDuration() : kSequencerPeriod;
}

namespace {

void AwaitNone(const rpc::Admission& admission, absl::Time deadline) {
  while (admission.in_flight() > 0 && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(5));
}

}  // namespace

// Clients first. The other service may be in the middle of calls of its own clients, and has nobody else to ask until it has
// found another replica: it is answered as long as there is time.
void Backbone::DrainCalls(absl::Time deadline) const {
  if (!settings_.hooks.no_drain_grace) absl::SleepFor(kDrainGrace);
  AwaitNone(*admission_, deadline);
  internal_admission_->Drain();
  AwaitNone(*internal_admission_, std::min(deadline, absl::Now() + kClose));
}

void Backbone::Stop() {
  if (stopped_) return;
  stopped_ = true;
  const absl::Time deadline = absl::Now() + kDrain;
  SetServing(false);
  admission_->Drain();
  internal_admission_->EndStreams();
  monitor_.Stop();  // may take a while if the database does not answer
  SetServing(false);
  feed_.news().Notify();
  if (listener_ != nullptr) DrainCalls(deadline);
  // The last answers are with gRPC, which still has to send them.
  if (listener_ != nullptr && !settings_.hooks.no_drain_grace) absl::SleepFor(kFlush);
  // Hardly anything is in flight any more; what is, is about to notice.
  const absl::Time close = absl::Now() + kClose;
  if (listener_ != nullptr) listener_->Shutdown(close);
  if (internal_listener_ != nullptr) internal_listener_->Shutdown(close);
  transport_.Cancel();
  for (const auto& worker : workers_) worker->Stop();
  sequencer_worker_.Stop();
  const absl::Status released = leases_.ReleaseAll(Call::Background(kRelease));
  if (!released.ok()) log::Warning("leases run out by themselves", {{"error", std::string(released.message())}});
  log::Info("stopped");
}

}  // namespace crosskey::server
