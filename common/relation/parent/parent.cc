#include "common/relation/parent/parent.h"

#include <string>

#include "common/relation/row_events.h"
#include "common/telemetry/log.h"

namespace crosskey::relation {
namespace {

constexpr absl::Duration kRecoveryPeriod = absl::Seconds(1);
constexpr absl::Duration kPurgePeriod = absl::Hours(1);
constexpr absl::Duration kSamplePeriod = absl::Seconds(2);

}  // namespace

Parent::Parent(ParentTable registered, events::Outbox& outbox, Peer& peer, const events::PeerWatch& watch,
               std::function<absl::Time()> now, telemetry::Metrics& metrics)
    : table_(std::move(registered)),
      deletions_(table_, outbox, peer, now, metrics),
      lookup_(table_, outbox.database()),
      blocked_(table_.peers.front(), watch, now),
      oldest_unfinished_(metrics.Gauge("crosskey_oldest_unfinished_deletion_seconds",
                                       "Age of the oldest deletion that is not over; 0: there is none.")),
      recovery_failures_(metrics.Counter("crosskey_recovery_failures_total",
                                         "Rounds of the recovery that left a deletion undecided.")) {}

void Parent::Consume(events::Consumer& consumer) {
  if (table_.events.reclaimed == nullptr) return;
  consumer.On(*table_.events.reclaimed, events::Consumer::Kind::kNormal,
              [this](events::Tx& tx, const events::Event&, const auto& payload) {
                return deletions_.OnReclaimed(tx, ReadReclaimed(payload, table_.type));
              });
}

std::vector<process::Task> Parent::Tasks() {
  return {{"recovery", [this](const Call& call) { return Recover(call); }, process::Task::Kind::kLeasedNeedsPeer},
          {"liveness", [this](const Call& call) { return Measure(call); }, process::Task::Kind::kEverywhere},
          {"purge", [this](const Call& call) { return Purge(call); }, process::Task::Kind::kLeased, true}};
}

absl::Duration Parent::Recover(const Call& call) {
  const absl::Status status = deletions_.Recover(call);
  if (!status.ok()) {
    recovery_failures_.Increment();
    log::Warning("the recovery of deletions did not get through", {{"error", std::string(status.message())}});
  }
  return kRecoveryPeriod;
}

absl::Duration Parent::Measure(const Call& call) {
  const absl::StatusOr<absl::Duration> age = deletions_.OldestUnfinished(call);
  if (age.ok()) oldest_unfinished_.Set(absl::ToDoubleSeconds(*age));
  return kSamplePeriod;
}

absl::Duration Parent::Purge(const Call& call) {
  const absl::StatusOr<bool> more = deletions_.Purge(call);
  if (!more.ok()) log::Warning("could not purge", {{"error", std::string(more.status().message())}});
  return more.ok() && *more ? absl::ZeroDuration() : kPurgePeriod;
}

}  // namespace crosskey::relation
