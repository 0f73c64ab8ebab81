#include "common/server/background.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/status/limits.h"
#include "common/telemetry/log.h"

namespace crosskey::server {
namespace {

constexpr absl::Duration kReconnect = absl::Milliseconds(100);
constexpr absl::Duration kPublishAgain = absl::Seconds(1);
constexpr absl::Duration kStandby = absl::Seconds(1);  // until a replica without the lease asks for it again
constexpr absl::Duration kDeaf = absl::Seconds(5);  // without an event that takes effect, until another replica may try
constexpr absl::Duration kReclaimPeriod = absl::Seconds(1);  // between rounds, if nobody wakes the worker
constexpr absl::Duration kHold = absl::Milliseconds(50);
constexpr absl::Duration kRelease = absl::Seconds(1);
const absl::Duration kLookAtLease = limits::kLease / 3;

}  // namespace

Worker& Background::Add(process::Task task) {
  const std::string name = task.name;
  Worker::Round round = std::move(task.round);
  if (hold_) {
    round = [this, name, round = std::move(round)](const Call& call) { return hold_(name) ? kHold : round(call); };
  }
  if (task.kind != process::Task::Kind::kEverywhere) {
    round = Leased(name, std::move(round), task.kind == process::Task::Kind::kLeasedNeedsPeer);
  }
  if (task.is_upkeep) {
    upkeep_.push_back({std::move(round)});
    if (upkeep_.size() > 1) return *upkeep_worker_;
    round = [this](const Call& call) { return Upkeep(call); };
  }
  workers_.push_back(std::make_unique<Worker>(task.is_upkeep ? "upkeep" : name, limits::kDefaultDeadline, round));
  if (task.is_upkeep) upkeep_worker_ = workers_.back().get();
  return *workers_.back();
}

// Runs the rounds that are due. One that is held up delays the others, which do not mind.
absl::Duration Background::Upkeep(const Call& call) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point next = Clock::time_point::max();
  for (Due& due : upkeep_) {
    if (Clock::now() >= due.next && !call.cancelled()) {
      const absl::Duration pause = due.round(call);
      due.next = Clock::now() + absl::ToChronoNanoseconds(pause);
    }
    next = std::min(next, due.next);
  }
  return std::max(absl::FromChrono(next - Clock::now()), absl::ZeroDuration());
}

Worker::Round Background::Leased(const std::string& name, Worker::Round round, bool needs_peer) {
  lease_names_.push_back(name);
  return [this, name, needs_peer, round = std::move(round), due = absl::InfinitePast()](const Call& call) mutable {
    if (!Holds(call, name)) return kStandby;
    if (absl::Now() < due) return kLookAtLease;  // this round came only to renew the lease
    const absl::Duration pause = round(call);
    due = pause > kLookAtLease ? absl::Now() + pause : absl::InfinitePast();
    const events::PeerWatch::View seen = watch_.view();
    if (needs_peer && seen.asked && !seen.answers) return LetAnotherTry(name);
    return std::min(pause, kLookAtLease);
  };
}

// Gives the lease back, because it may be only this process that cannot reach the peer. The pause is long enough for
// another replica to take the lease.
absl::Duration Background::LetAnotherTry(const std::string& lease) {
  const absl::Status released = leases_.Release(Call::Background(kRelease), lease);
  if (!released.ok()) log::Debug("a lease runs out by itself", {{"lease", lease}});
  return 2 * kStandby;
}

bool Background::Holds(const Call& call, const std::string& lease) {
  const absl::StatusOr<bool> held = leases_.Hold(call, lease);
  // Service logs it if the database is away, so that is not logged here.
  if (!held.ok() && !absl::IsUnavailable(held.status()) && call.Check().ok()) {
    log::Warning("could not ask for a lease", {{"lease", lease}, {"error", std::string(held.status().message())}});
  }
  return held.ok() && *held;
}

Worker& Background::AddReclaimer(std::vector<std::function<absl::StatusOr<bool>(const Call&)>> rounds) {
  const auto reclaim = [rounds = std::move(rounds)](const Call& call) {
    bool any = false;
    for (const auto& round : rounds) {
      const absl::StatusOr<bool> more = round(call);
      if (!more.ok()) log::Warning("the reclaim was interrupted", {{"error", std::string(more.status().message())}});
      any = any || (more.ok() && *more);
    }
    return any ? absl::ZeroDuration() : kReclaimPeriod;
  };
  return Add({"reclaim", reclaim, process::Task::Kind::kLeased});
}

void Background::AddConsumer(events::Consumer& consumer) {
  std::optional<absl::Time> since;  // it has the lease
  const auto consume = [this, &consumer, since, said = std::string()](const Call& call) mutable {
    if (!since.has_value()) since = absl::Now();
    // The lease is asked for before each batch and bookmark. Bookmarks come often enough to renew it without events.
    const absl::Status end = consumer.Run(call, [&]() -> absl::Status { return StillHolds("consumer"); });
    const std::string reason(end.message());
    log::Debug("the peer's feed has ended", {{"reason", reason}});
    // It hears nothing, or what it hears does not take effect.
    if (consumer.last_progress() > *since) said.clear();
    if (absl::IsCancelled(end)) since.reset();  // another replica has the lease, or this process stops
    if (!since.has_value() || absl::Now() - std::max(*since, consumer.last_progress()) < kDeaf) return kReconnect;
    since.reset();
    if (std::exchange(said, reason) != reason) {
      log::Warning("no event has been consumed here for a while", {{"reason", reason}});
    }
    return LetAnotherTry("consumer");
  };
  Add({"consumer", consume, process::Task::Kind::kLeased});
}

void Background::AddPublisher(events::NatsPublisher& publisher) {
  const auto publish = [this, &publisher](const Call& call) {
    const absl::Status end = publisher.Run(call, [this] { return StillHolds("publish"); });
    log::Debug("the publisher has ended", {{"reason", std::string(end.message())}});
    return absl::IsCancelled(end) || absl::IsAborted(end) ? kReconnect : kPublishAgain;
  };
  Add({"publish", publish, process::Task::Kind::kLeased});
}

absl::Status Background::StillHolds(const std::string& lease) {
  if (Holds(Call::Background(limits::kDefaultDeadline), lease)) return absl::OkStatus();
  return absl::CancelledError("another replica has the lease");
}

void Background::Start() {
  for (const auto& worker : workers_) worker->Start();
}

void Background::Stop() {
  for (const auto& worker : workers_) worker->BeginToStop();  // all at once: some rounds wait for others' servers
  for (const auto& worker : workers_) worker->Stop();
  const absl::Status released = leases_.ReleaseAll(Call::Background(kRelease));
  if (!released.ok()) log::Warning("leases run out by themselves", {{"error", std::string(released.message())}});
}

}  // namespace crosskey::server
