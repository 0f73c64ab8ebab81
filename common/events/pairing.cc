#include "common/events/pairing.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/db/tables.h"
#include "common/events/uuid.h"
#include "common/status/errors.h"
#include "common/telemetry/log.h"

namespace crosskey::events {
namespace {

const db::Sql kAll{"instances.all",
                   "SELECT name, instance_id, adopting_until FROM instances WHERE name > '' ORDER BY name LIMIT 100"};
// Once paired, the database has the names of both services. The other one is that whose feed is consumed.
const db::Sql kOwner{
    "instances.owner",
    "SELECT name FROM instances WHERE name NOT IN (SELECT feed FROM checkpoints) ORDER BY name LIMIT 1"};
const db::Sql kConsumes{"instances.consumes", "SELECT feed FROM checkpoints WHERE feed > '' ORDER BY feed LIMIT 1"};
const db::Sql kAdd{"instances.add",
                   "INSERT INTO instances (name, instance_id, adopting_until) VALUES (?, ?, ?) {keep_named}"};
const db::Sql kRemove{"instances.remove", "DELETE FROM instances WHERE name = ?"};
// The own feed is named after the identity is made. So a name before that is of a release without identities.
const db::Sql kHasServed{"instances.has_served", "SELECT name FROM feed WHERE name = 'own' AND feed_id <> ''"};

constexpr char kRefused[] = "crosskey_peer_refused_calls_total";
constexpr char kRefusedHelp[] = "Internal calls that came from, or were meant for, another one.";
constexpr char kNobodys[] = "no service has given it an identity yet";
constexpr std::chrono::seconds kLogInterval{10};  // strangers must not fill the log

std::string Name(const Instance& instance) {
  if (instance.service.empty()) return "one that does not say who it is";
  return instance.service + (instance.id.empty() ? "" : "/" + instance.id);
}

}  // namespace

Pairing::Pairing(std::string own, std::string peer, db::Database& database, std::function<absl::Time()> now,
                 telemetry::Metrics& metrics)
    : own_name_(std::move(own)),
      peer_name_(std::move(peer)),
      database_(database),
      now_(std::move(now)),
      mismatch_(metrics.Gauge("crosskey_peer_mismatch",
                              "1 while another one than the paired service answers at the peer's address.",
                              {{"peer", peer_name_}})),
      wrong_caller_(metrics.Counter(kRefused, kRefusedHelp, {{"peer", peer_name_}, {"wrong", "caller"}})),
      wrong_callee_(metrics.Counter(kRefused, kRefusedHelp, {{"peer", peer_name_}, {"wrong", "callee"}})),
      unsigned_(metrics.Counter(kRefused, kRefusedHelp, {{"peer", peer_name_}, {"wrong", "unsigned"}})),
      own_{own_name_, ""},
      peer_{peer_name_, ""},
      adopting_until_(absl::InfinitePast()) {}

db::Component Pairing::Schema() {
  return {"instances", {{1, "0001_initial", R"(
-- The identity of this database, under the name of its service, and the one of the service that it is paired with.
-- adopting_until (microseconds since 1970): until then the peer need not say who it is. 0: it has to.
CREATE TABLE IF NOT EXISTS instances (
  name {ascii 40} NOT NULL PRIMARY KEY,
  instance_id {ascii 36} NOT NULL,
  adopting_until BIGINT NOT NULL
) {table};
)"}}};
}

namespace {

// A database of a release without identities: whoever consumes a feed is not its publisher.
absl::Status CheckConsumer(db::Connection& connection, const std::string& own) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto feed, connection.QueryOne<std::string>(kConsumes));
  if (!feed.has_value()) return absl::FailedPreconditionError(absl::StrCat(kNobodys, ": it consumes no feed"));
  if (std::get<0>(*feed) != own) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("it is a database of one that consumes the feed of ", own));
}

}  // namespace

absl::Status Pairing::CheckOwner(db::Connection& connection, const std::string& own) {
  CROSSKEY_ASSIGN_OR_RETURN(const bool has_feeds, db::HasTable(connection, "checkpoints"));
  if (!has_feeds) return absl::FailedPreconditionError(absl::StrCat(kNobodys, ": it has no table checkpoints"));
  CROSSKEY_ASSIGN_OR_RETURN(const bool has_identity, db::HasTable(connection, "instances"));
  if (!has_identity) return CheckConsumer(connection, own);
  CROSSKEY_ASSIGN_OR_RETURN(const auto owner, connection.QueryOne<std::string>(kOwner));
  if (!owner.has_value())
    return absl::FailedPreconditionError(absl::StrCat(kNobodys, ": its table instances has none"));
  if (std::get<0>(*owner) == own) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("it is a database of ", std::get<0>(*owner)));
}

absl::Status Pairing::Load(const Call& call) {
  CROSSKEY_RETURN_IF_ERROR(Refresh(call));
  if (!Outgoing().caller.id.empty()) return absl::OkStatus();  // also where the database takes no changes now
  CROSSKEY_RETURN_IF_ERROR(database_.Transact(call, "pairing", [&](db::Tx& tx) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const auto served, tx.QueryOne<std::string>(kHasServed));
    const int64_t until = served.has_value() ? absl::ToUnixMicros(now_() + kAdoption) : 0;
    return tx.Execute(kAdd, own_name_, NewUuid(), until).status();
  }));
  return Refresh(call);
}

absl::Status Pairing::Refresh(const Call& call) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, database_.Read(call, [](db::Connection& connection) {
    return connection.Query<std::string, std::string, int64_t>(kAll);
  }));
  std::lock_guard lock(mutex_);
  Instance peer{peer_name_, ""};
  for (const auto& [name, id, until] : rows) {
    if (name == own_name_) {
      own_.id = id;
      adopting_until_ = until == 0 ? absl::InfinitePast() : absl::FromUnixMicros(until);
    }
    if (name == peer_name_) peer.id = id;
  }
  if (!(peer == peer_)) Set(absl::OkStatus(), false);  // the next answer tells
  peer_ = peer;
  return absl::OkStatus();
}

absl::Status Pairing::Met(const Call& call, const Instance& peer, const std::string& its_pair) {
  const Parties before = Outgoing();
  absl::Status problem;
  if (peer.id.empty() && IsAdoptingNow()) {
    says_nothing_ = true;
  } else {
    says_nothing_ = false;
    const bool is_another = peer.service != peer_name_ || peer.id.empty();
    if (is_another) {
      problem = errors::PeerMismatch("the peer's address", Name(before.callee), Name(peer));
    } else if (!its_pair.empty() && its_pair != before.caller.id) {
      problem = errors::PeerMismatch("the pair of " + Name(peer), Name(before.caller), Name({own_name_, its_pair}));
    } else {
      CROSSKEY_ASSIGN_OR_RETURN(const Instance stored, PairWith(call, peer));
      if (!(stored == peer)) problem = errors::PeerMismatch("the peer's address", Name(stored), Name(peer));
    }
  }
  Note(problem);
  return problem;
}

absl::StatusOr<Instance> Pairing::PairWith(const Call& call, const Instance& peer) {
  const Instance known = Outgoing().callee;
  if (!known.id.empty()) return known;
  CROSSKEY_RETURN_IF_ERROR(database_.Transact(
      call, "pairing", [&](db::Tx& tx) { return tx.Execute(kAdd, peer_name_, peer.id, 0).status(); }));
  // Another process may have been faster, so what counts is what is stored now.
  CROSSKEY_RETURN_IF_ERROR(Refresh(call));
  const Instance stored = Outgoing().callee;
  if (stored == peer) log::Info("paired", {{"peer", Name(peer)}});
  return stored;
}

void Pairing::Note(const absl::Status& problem) {
  absl::Status before;
  {
    std::lock_guard lock(mutex_);
    before = problem_;
    Set(problem, problem.ok());
  }
  // Nobody must wait for the lock while the log is written.
  if (!problem.ok() && problem != before) {
    log::Error("the peer is another one", {{"peer", peer_name_}, {"error", std::string(problem.message())}});
  }
  if (problem.ok() && !before.ok()) log::Info("the peer is the right one again", {{"peer", peer_name_}});
}

void Pairing::Set(const absl::Status& problem, bool has_met) {
  problem_ = problem;
  has_met_ = has_met;
  mismatch_.Set(problem.ok() ? 0 : 1);
  changed_.notify_all();
}

absl::StatusOr<std::optional<Instance>> Pairing::Unpair(const Call& call) {
  CROSSKEY_RETURN_IF_ERROR(Refresh(call));
  const Instance before = Outgoing().callee;
  CROSSKEY_RETURN_IF_ERROR(
      database_.Transact(call, "pairing", [&](db::Tx& tx) { return tx.Execute(kRemove, peer_name_).status(); }));
  CROSSKEY_RETURN_IF_ERROR(Refresh(call));
  return before.id.empty() ? std::nullopt : std::optional(before);
}

bool Pairing::IsAdopting() const { return now_() < adopting_until_; }

bool Pairing::IsAdoptingNow() const {
  std::lock_guard lock(mutex_);
  return IsAdopting();
}

bool Pairing::is_mismatch() const {
  std::lock_guard lock(mutex_);
  return !problem_.ok();
}

bool Pairing::has_met() const {
  std::lock_guard lock(mutex_);
  return has_met_;
}

Parties Pairing::Outgoing() const {
  std::lock_guard lock(mutex_);
  return {own_, peer_};
}

absl::Status Pairing::MayCall(absl::Time until) {
  std::unique_lock lock(mutex_);
  // One that is known need not be met again first: it refuses what is meant for another one.
  while (problem_.ok() && !has_met_ && peer_.id.empty()) {
    const absl::Duration left = until - absl::Now();
    if (left <= absl::ZeroDuration()) return errors::PeerUnavailable(peer_name_);
    changed_.wait_for(lock, absl::ToChronoMilliseconds(std::min(left, absl::Seconds(1))));
  }
  return problem_;
}

absl::Status Pairing::MayTake(const Parties* parties) {
  prometheus::Counter* refused = nullptr;
  const absl::Status status = Decide(parties, refused);
  if (refused == nullptr) return status;
  refused->Increment();
  bool logs = false;
  {
    std::lock_guard lock(mutex_);
    const Clock::time_point now = Clock::now();
    logs = now >= next_log_;
    if (logs) next_log_ = now + kLogInterval;
  }
  if (logs) log::Error("refused a call", {{"error", std::string(status.message())}});
  return status;
}

absl::Status Pairing::Decide(const Parties* parties, prometheus::Counter*& refused) const {
  std::lock_guard lock(mutex_);
  const bool adopting = IsAdopting();
  if (parties == nullptr) {
    if (adopting) return absl::OkStatus();
    refused = &unsigned_;
    return errors::PeerMismatch("the caller", Name(peer_), Name({}));
  }
  // While a pair is adopted, the caller may know only that the release before has answered here.
  const bool unmet = parties->callee.service == own_name_ && parties->callee.id.empty();
  if (!(parties->callee == own_) && !(adopting && unmet)) {
    refused = &wrong_callee_;
    return errors::PeerMismatch("the callee", Name(own_), Name(parties->callee));
  }
  const bool may_be_right = parties->caller.service == peer_name_ && !parties->caller.id.empty();
  // This one is new, or has met only older processes. The caller has met it, and will be met in a moment.
  if (may_be_right && peer_.id.empty()) return absl::OkStatus();
  if (!may_be_right || !(parties->caller == peer_)) {
    refused = &wrong_caller_;
    return errors::PeerMismatch("the caller", Name(peer_), Name(parties->caller));
  }
  return absl::OkStatus();
}

}  // namespace crosskey::events
