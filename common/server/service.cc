#include "common/server/service.h"

#include <algorithm>
#include <functional>
#include <utility>

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "common/db/sql_error.h"
#include "common/process/flag_checks.h"
#include "common/process/stop_signal.h"
#include "common/rpc/channel.h"
#include "common/status/errors.h"
#include "common/status/limits.h"
#include "common/telemetry/log.h"

namespace crosskey::server {
namespace {

constexpr absl::Duration kDrain = absl::Seconds(10);
constexpr absl::Duration kMonitorPeriod = absl::Seconds(1);
// The sequencer looks this often even if nobody wakes it, because another process may have appended events.
constexpr absl::Duration kSequencerPeriod = absl::Milliseconds(250);
constexpr absl::Duration kGather = absl::Milliseconds(10);  // between two rounds that number something
constexpr absl::Duration kWatchPeriod = absl::Seconds(2);
constexpr absl::Duration kMeetPeriod = absl::Milliseconds(100);  // until the peer has been met
constexpr absl::Duration kPurgePeriod = absl::Minutes(1);
constexpr absl::Duration kTrimPeriod = absl::Seconds(2);
constexpr absl::Duration kFrontPeriod = absl::Milliseconds(250);
// A session of SQLite has its file, its log and the index of the log open.
constexpr int kDescriptorsOfASession = 4;
constexpr int kDescriptors = 128 + limits::kMetricsConnections;
constexpr absl::Duration kYield = absl::Milliseconds(5);  // between batches of a large removal

// Names the place and not the process, so that a process that is started there again gets its leases back at once.
std::string LeaseHolder(const std::string& internal_listen) {
  char host[256] = "";
  gethostname(host, sizeof(host) - 1);
  return absl::StrCat(host, " ", internal_listen);
}

// Without the mark a service can serve all the same.
void MarkFile(const std::string& path) {
  const absl::Status status = db::MarkDatabase(path);
  if (!status.ok()) log::Warning("could not mark the database", {{"error", std::string(status.message())}});
}

}  // namespace

absl::StatusOr<std::unique_ptr<Service>> Service::Create(Settings settings) {
  db::DatabaseOptions database;
  database.url = settings.options.db;
  if (database.url.dialect == db::Dialect::kSqlite) CROSSKEY_RETURN_IF_ERROR(db::CheckMark(database.url.path));
  database.password_file = settings.options.db_password_file;
  database.tls_ca = settings.options.db_tls_ca;
  database.pool_size = settings.options.db_pool;
  database.statement_timeout = settings.statement_timeout;
  auto metrics = std::make_unique<telemetry::Metrics>(settings.name, CROSSKEY_VERSION);
  CROSSKEY_ASSIGN_OR_RETURN(auto security, Security::Open(settings.options, settings.name, *metrics));
  Opened opened{std::move(database), std::move(metrics), std::move(security)};
  return std::unique_ptr<Service>(new Service(std::move(settings), std::move(opened)));
}

Service::Service(Settings settings, Opened opened)
    : settings_(std::move(settings)),
      now_(settings_.hooks.now ? settings_.hooks.now : [] { return absl::Now(); }),
      metrics_(std::move(opened.metrics)),
      security_(std::move(opened.security)),
      database_(std::move(opened.database), *metrics_),
      leases_(database_, LeaseHolder(settings_.options.internal_listen)),
      answers_(database_, now_, int64_t{settings_.options.answer_space} * limits::kMebibyte),
      feed_(database_, settings_.name),
      sequencer_(database_),
      sequencer_worker_("sequencer", limits::kDefaultDeadline, [this](const Call& call) { return NumberEvents(call); }),
      outbox_(database_, [this] { sequencer_worker_.Wake(); }),
      pairing_(settings_.name, settings_.peer, database_, now_, *metrics_),
      history_(settings_.name, settings_.peer, database_, *metrics_),
      peer_(rpc::Connect(settings_.options.peer, security_->peer()), &pairing_),
      transport_(peer_),
      nats_transport_(settings_.options.events, settings_.name, settings_.peer, transport_, *metrics_),
      publisher_({settings_.options.events, settings_.name, settings_.options.event_retention}, feed_, history_,
                 pairing_, *metrics_),
      peer_watch_(settings_.name, settings_.peer, feed_, history_, transport_, pairing_, now_, *metrics_),
      trim_(database_, feed_),
      workers_(rpc::CallLines::Threads(settings_.options.db_pool), *metrics_),
      lines_(workers_),
      front_(
          {settings_.options.listen, settings_.options.internal_listen, settings_.options.max_in_flight,
           settings_.options.db_pool * kDescriptorsOfASession + kDescriptors, settings_.request_bytes,
           settings_.hooks.no_drain_grace, settings_.hooks.deaf_for, settings_.options.caller_rate, security_->gate(),
           security_->audit(), security_->tls(), security_->internal_tls(), security_->internal_gate()},
          pairing_, [this] { return history_.MayGoOn(); }, *metrics_),
      event_rpc_(feed_, history_, pairing_, front_.internal_admission(), lines_, *metrics_),
      background_(leases_, peer_watch_, settings_.hooks.hold),
      front_watch_("listeners", limits::kDefaultDeadline, [this](const Call&) { return WatchFront(); }),
      monitor_("monitor", limits::kDefaultDeadline, [this](const Call& call) { return Monitor(call); }) {
  database_.set_seam(settings_.hooks.seam);
  using Kind = process::Task::Kind;
  background_.Add({"watch", [this](const Call& call) { return WatchPeer(call); }, Kind::kEverywhere});
  if (publisher_.is_wanted()) background_.AddPublisher(publisher_);
  background_.Add({"trim", [this](const Call& call) { return TrimEvents(call); }, Kind::kLeasedNeedsPeer, true});
  background_.Add({"requests", [this](const Call& call) { return PurgeAnswers(call); }, Kind::kLeased, true});
}

Service::~Service() { Stop(); }

absl::Status Service::Serve(const std::vector<Endpoint>& endpoints, std::vector<Endpoint> internal_endpoints) {
  const process::Options& options = settings_.options;
  if (!options.metrics_listen.empty()) {
    std::function<telemetry::PemPair()> pair;
    if (security_->tls() != nullptr && !process::IsLoopback(options.metrics_listen)) {
      pair = [tls = security_->tls()] { return tls->pair(); };
    }
    CROSSKEY_ASSIGN_OR_RETURN(metrics_server_,
                              telemetry::MetricsServer::Start(*metrics_, options.metrics_listen, std::move(pair)));
  }
  internal_endpoints.push_back({"event.v1.EventService", &event_rpc_});
  CROSSKEY_RETURN_IF_ERROR(front_.Open(endpoints, internal_endpoints));
  log::Info("listening", {{"listen", options.listen},
                          {"port", front_.port()},
                          {"internal_port", front_.internal_port()},
                          {"metrics", options.metrics_listen}});
  front_watch_.Start();
  monitor_.Start();
  return absl::OkStatus();
}

void Service::Own(const std::vector<relation::GivenIds>& types) {
  for (const relation::GivenIds& ids : types) {
    history_.Owns(ids.type(),
                  [ids](db::Connection& connection, const events::Seen& seen) { return ids.Misfit(connection, seen); });
  }
}

absl::Status Service::Prepare(const Call& call) {
  CROSSKEY_RETURN_IF_ERROR(db::CheckSchema(database_, call, settings_.schema));
  CROSSKEY_RETURN_IF_ERROR(pairing_.Load(call));
  CROSSKEY_RETURN_IF_ERROR(feed_.EnsureNamed(call));
  CROSSKEY_RETURN_IF_ERROR(peer_watch_.Round(call));
  CROSSKEY_RETURN_IF_ERROR(pairing_.MayCall(absl::Now()));
  return peer_watch_.view().answers ? absl::OkStatus() : errors::PeerUnavailable(settings_.peer);
}

absl::Status Service::PrepareDatabase(const Call& call) {
  if (database_.dialect() == db::Dialect::kSqlite || settings_.hooks.migrate) {
    CROSSKEY_RETURN_IF_ERROR(db::Migrate(database_, call, settings_.schema));
  } else {
    CROSSKEY_RETURN_IF_ERROR(db::CheckSchema(database_, call, settings_.schema));
  }
  const absl::Status tables = database_.Read(call, settings_.check_tables);
  if (absl::IsFailedPrecondition(tables)) Fail(tables);
  CROSSKEY_RETURN_IF_ERROR(tables);
  if (database_.dialect() == db::Dialect::kSqlite) MarkFile(settings_.options.db.path);
  CROSSKEY_RETURN_IF_ERROR(AddLeases(call));
  CROSSKEY_RETURN_IF_ERROR(pairing_.Load(call));
  return feed_.EnsureNamed(call);
}

// Where the database takes no changes, reads can be answered all the same. The rows are usually there from before.
absl::Status Service::AddLeases(const Call& call) {
  const absl::Status status = leases_.Add(call, background_.lease_names());
  leases_added_ = status.ok();
  return errors::Is(status, errors::Reason::kDatabaseNotWritable) ? absl::OkStatus() : status;
}

void Service::Fail(const absl::Status& failure) {
  {
    std::lock_guard lock(mutex_);
    failure_ = failure;
  }
  process::RequestStop();
}

absl::Duration Service::WatchFront() {
  security_->Look(absl::Now());
  const absl::Status status = front_.Watch(absl::Now());
  if (!status.ok() && failure().ok()) {
    log::Error("a listener is deaf", {{"error", std::string(status.message())}});
    Fail(status);
  }
  return kFrontPeriod;
}

absl::Status Service::failure() const {
  std::lock_guard lock(mutex_);
  return failure_;
}

absl::Duration Service::Monitor(const Call& call) {
  Call probe = call;
  probe.deadline = absl::Now() + (ready_ ? absl::Seconds(5) : limits::kDefaultDeadline);
  const absl::Status status = ready_ ? feed_.Info(probe).status() : PrepareDatabase(probe);
  if (call.cancelled()) return kMonitorPeriod;
  if (status.ok() && !ready_) {
    AskPeerFirst(probe);
    sequencer_worker_.Start();
    background_.Start();
    front_.Admit();
    ready_ = true;
    log::Info("serving");
  }
  if (ready_ && !leases_added_) static_cast<void>(AddLeases(probe));
  LogProblem(status.ok() ? "" : db::TextOf(status));
  // A busy database is no reason to stop serving: every replica sees the same database, so none would be left. One that
  // takes no changes is, because this process may be the only one that still talks to a former primary.
  const bool answers = status.ok() || (ready_ && status.code() == absl::StatusCode::kResourceExhausted);
  front_.SetServing(answers && database_.WriteProblem().empty());
  return kMonitorPeriod;
}

// What the peer has seen of this service is compared before anybody is answered. A peer that does not answer is asked
// again by the watch.
void Service::AskPeerFirst(const Call& call) {
  Call brief = call;
  brief.deadline = std::min(call.deadline, absl::Now() + limits::kPeerCallTimeout);
  absl::Status status = history_.Refresh(call);
  if (status.ok()) status = peer_watch_.Round(brief);
  if (!status.ok()) log::Warning("could not compare histories", {{"error", std::string(status.message())}});
  if (status.ok() && !peer_watch_.view().answers) {
    log::Info("the peer has not answered yet; histories are compared later");
  }
  if (!history_.MayGoOn().ok()) log::Error("no writes", {{"error", std::string(history_.MayGoOn().message())}});
}

void Service::LogProblem(const std::string& problem) {
  if (problem == last_problem_) return;
  if (problem.empty()) {
    log::Info("the database is back");
  } else {
    log::Error("not serving", {{"error", problem}});
  }
  last_problem_ = problem;
}

absl::Duration Service::NumberEvents(const Call& call) {
  // Under load events gather for a moment, so that the numbering, the stream and the consumer have fewer and larger
  // transactions. The first event after a pause is numbered at once.
  const absl::Duration left = last_numbered_ + kGather - absl::Now();
  if (left > absl::ZeroDuration()) absl::SleepFor(std::min(left, kGather));  // the clock may have been set back
  const absl::StatusOr<int64_t> numbered = sequencer_.Round(call);
  if (!numbered.ok()) {
    log::Warning("the sequencer could not number events", {{"error", std::string(numbered.status().message())}});
    return kMonitorPeriod;
  }
  if (*numbered > 0) {
    last_numbered_ = absl::Now();
    feed_.news().Notify();
  }
  return *numbered == limits::kEventBatch ? absl::ZeroDuration() : kSequencerPeriod;
}

absl::Duration Service::WatchPeer(const Call& call) {
  const absl::Status status = peer_watch_.Round(call);
  if (!status.ok()) log::Warning("could not look how far events are", {{"error", std::string(status.message())}});
  front_.SetPeerHealth(!pairing_.is_mismatch());
  front_.SetHistoryHealth(history_.Problem().empty());
  return status.ok() && !pairing_.has_met() && !pairing_.is_mismatch() ? kMeetPeriod : kWatchPeriod;
}

absl::Duration Service::TrimEvents(const Call& call) {
  const events::FeedPosition consumed = peer_watch_.view().of_peer;
  const absl::StatusOr<int64_t> removed = trim_.Round(call, consumed, now_() - settings_.options.event_retention);
  if (!removed.ok()) log::Warning("could not remove old events", {{"error", std::string(removed.status().message())}});
  return removed.ok() && *removed == limits::kTrimBatch ? kYield : kTrimPeriod;
}

absl::Duration Service::PurgeAnswers(const Call& call) {
  const absl::StatusOr<bool> more = answers_.Purge(call);
  if (!more.ok()) log::Warning("could not remove old answers", {{"error", std::string(more.status().message())}});
  return more.ok() && *more ? kYield : kPurgePeriod;
}

void Service::Stop() {
  if (stopped_) return;
  stopped_ = true;
  const absl::Time deadline = absl::Now() + kDrain;
  front_.BeginDrain();
  monitor_.Stop();  // may take a while if the database does not answer
  front_.SetServing(false);
  front_watch_.Stop();
  feed_.news().Notify();
  front_.FinishCalls(deadline);
  front_.Close();
  workers_.Stop();
  nats_transport_.Cancel();  // and transport_
  background_.Stop();
  sequencer_worker_.Stop();
  log::Info("stopped");
}

}  // namespace crosskey::server
