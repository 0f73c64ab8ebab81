// Whom a service is paired with.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "common/db/database.h"
#include "common/db/migrations.h"
#include "common/status/identity.h"
#include "common/telemetry/metrics.h"

namespace crosskey::events {

// Each database has an identity, and the first meeting of two services pairs them: each stores the identity of the
// other one in its database. From then on neither calls another one, and neither takes a call from another one or a
// call that is meant for another one. So a service that is pointed at the wrong environment, or at itself, changes
// nothing there. An identity is no secret: it finds mistakes, and keeps out nobody who means harm.
//
// A service meets the other one by asking it (GetFeedInfo), at the address that it is configured with, and calls nobody
// before. It never pairs with whoever calls it, nor with one that is paired with another.
// Until a new database is paired, a call is taken if it has the right names and the right callee: whoever makes it has
// met this one, and is usually met a moment later.
//
// A release without identities says nothing of itself. A service whose database such a release has used before takes
// its calls, and calls it, for kAdoption after its first start: so old and new processes can be mixed while both
// services are upgraded. Thread-safe.
class Pairing final : public Identity {
 public:
  static constexpr absl::Duration kAdoption = absl::Hours(24);

  // `own` and `peer` are the names of the two services, `now` is the clock for kAdoption.
  Pairing(std::string own, std::string peer, db::Database& database, std::function<absl::Time()> now,
          telemetry::Metrics& metrics);

  // The table `instances`.
  static db::Component Schema();

  // OK if the service `own` has given this database its identity. FAILED_PRECONDITION: it has none, or one of another
  // service. For databases that nobody serves: copies.
  static absl::Status CheckOwner(db::Connection& connection, const std::string& own);

  // Gives the database its identity if it has none yet, and reads whom it is paired with. At the start, before the own
  // feed is named: a feed that has a name already shows that an older release has used the database.
  absl::Status Load(const Call& call);
  // Reads again whom it is paired with: another process may have met the peer, or the pair may have been ended.
  absl::Status Refresh(const Call& call);
  // Notes who has answered at the peer's address, and pairs with it if it is the first one. `peer` is empty if it does
  // not say, `its_pair` is the id that it is paired with itself, empty: none, or it does not say. FAILED_PRECONDITION
  // PEER_MISMATCH: it is another one, or paired with another one, and nothing is stored. Other errors are the
  // database's, and say nothing about the peer.
  absl::Status Met(const Call& call, const Instance& peer, const std::string& its_pair = "");
  // Ends the pair, so that the next one that is met at the peer's address is paired with, if it has the right name.
  // Returns the one that was paired with, nullopt if there was none.
  absl::StatusOr<std::optional<Instance>> Unpair(const Call& call);

  // Whoever answered last is not the one that this service is paired with.
  bool is_mismatch() const;
  // This process has met the peer, and it was the right one.
  bool has_met() const;

  Parties Outgoing() const override;
  absl::Status MayCall(absl::Time until) override;
  absl::Status MayTake(const Parties* parties) override;

 private:
  using Clock = std::chrono::steady_clock;

  absl::StatusOr<Instance> PairWith(const Call& call, const Instance& peer);
  // `refused`: what counts the refusal of a wrong one.
  absl::Status Decide(const Parties* parties, prometheus::Counter*& refused) const;
  void Note(const absl::Status& problem);
  bool IsAdoptingNow() const;
  // The lock must be held for these two.
  void Set(const absl::Status& problem, bool has_met);
  bool IsAdopting() const;

  const std::string own_name_;
  const std::string peer_name_;
  db::Database& database_;
  const std::function<absl::Time()> now_;
  prometheus::Gauge& mismatch_;
  prometheus::Counter& wrong_caller_;
  prometheus::Counter& wrong_callee_;
  prometheus::Counter& unsigned_;
  std::atomic<bool> says_nothing_ = false;  // whoever answered last did not say who it is, and need not
  mutable std::mutex mutex_;                // guards what follows
  std::condition_variable changed_;
  Instance own_;
  Instance peer_;              // without an id: not met yet
  absl::Time adopting_until_;  // a peer that does not say who it is passes until then
  bool has_met_ = false;
  absl::Status problem_;        // PEER_MISMATCH while another one answers
  Clock::time_point next_log_;  // of a refused call
};

}  // namespace crosskey::events
