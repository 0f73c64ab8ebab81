// Whether two services still have the history that each of them remembers of the other one.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/db/database.h"
#include "common/db/migrations.h"
#include "common/events/feed.h"
#include "common/telemetry/metrics.h"

namespace crosskey::events {

// A database that is restored from an older copy has lost events that the other service has consumed, and ids that it
// refers to. If it simply went on, it would give these numbers and ids out again. So whoever has seen something of the
// other side keeps a witness of it (FeedPosition), and the other side compares all witnesses with what it has: when it
// starts, before it takes writes, and every 2 s. If one does not fit, this service has lost something. That is stored,
// and it takes no writes until a repair has begun.
//
// The consumer of a feed that does not go on from its checkpoint stores that too (Consumer), and takes nothing more
// from it until a repair has ended. Thread-safe.
class History {
 public:
  // Reads what this service has seen of the rows of one type of the peer.
  using Look = std::function<absl::StatusOr<Seen>(db::Connection&)>;
  // Says why this service cannot have told what the peer has seen of one of its own types. Empty: it can.
  using Misfit = std::function<absl::StatusOr<std::string>(db::Connection&, const Seen&)>;

  // Says what is not here, with the own feed as it is. Empty: nothing.
  using Why = std::function<absl::StatusOr<std::string>(db::Connection&, const FeedInfo&)>;

  History(std::string own, std::string peer, db::Database& database, telemetry::Metrics& metrics);

  // The table `histories`, with a row for the own history and one for each feed that is consumed.
  static std::vector<db::Component> Schema(const std::vector<std::string>& feeds);

  // For a copy that is put in the place of the database: its service takes no writes until it has been compared with
  // the other one. Changes nothing if the copy has lost something already.
  static absl::Status MarkRestored(db::Tx& tx);

  // Before the first call.
  void Refers(Look look) { looks_.push_back(std::move(look)); }
  void Owns(const std::string& type, Misfit misfit) { misfits_[type] = std::move(misfit); }

  // How far this service has consumed the feeds of others, with all witnesses.
  absl::StatusOr<std::vector<FeedPosition>> Positions(const Call& call);

  // Says what of that is not here. Empty: all is, or a repair is going on. Stores nothing.
  absl::StatusOr<std::string> WhyNot(const Call& call, const FeedPosition& of_peer);
  // Compares what the peer remembers of this service with what is here. `feed_id` is the name of the own feed as it was
  // before the peer was asked: a repair may have begun meanwhile, and then the answer says nothing. Stores what does
  // not fit. An error is the database's.
  absl::Status Compare(const Call& call, const FeedPosition& of_peer, const std::string& feed_id);
  // Stores that this service has lost something, if `why` says so within the transaction. Nothing if the own feed has
  // another name by now.
  absl::Status NoteLost(const Call& call, const std::string& feed_id, const Why& why);
  // Whether this database has never met the other service, and that one is paired with another database of this
  // service. If it took writes, it would give ids that the other service still refers to.
  void NoteReplaced(bool is_replaced) { is_replaced_ = is_replaced; }
  // Reads again what is stored, because another process may have noted or mended something.
  absl::Status Refresh(const Call& call);

  // Whether this service may take writes, and vouch for its rows. FAILED_PRECONDITION HISTORY_MISMATCH.
  absl::Status MayGoOn() const;
  // The same, and never because of what another process has mended meanwhile: a consumer stores the refusal.
  // UNAVAILABLE PEER_UNAVAILABLE: the database was restored, and has not been compared yet.
  absl::Status MayPublish(const Call& call);
  // What is wrong with the own history, or with the peer's as seen from here. Empty: nothing.
  std::string Problem() const;
  HistoryState own_state() const { return own_state_; }
  // Of the peer's history, as it is consumed here.
  HistoryState peer_state() const;

 private:
  struct Stored {
    HistoryState state = HistoryState::kGoesOn;
    std::string reason;
  };
  absl::StatusOr<std::string> WhyNotHere(db::Connection& connection, const FeedPosition& of_peer,
                                         const FeedInfo& own) const;
  // Of the own history, and of the peer's.
  absl::StatusOr<std::pair<Stored, Stored>> ReadStored(db::Connection& connection) const;
  void Set(const Stored& own, const Stored& peer);
  std::string Replaced() const;

  const std::string own_;
  const std::string peer_;
  db::Database& database_;
  std::vector<Look> looks_;
  std::map<std::string, Misfit> misfits_;  // by type
  prometheus::Gauge& own_mismatch_;
  prometheus::Gauge& peer_mismatch_;
  std::atomic<HistoryState> own_state_ = HistoryState::kGoesOn;
  std::atomic<bool> is_replaced_ = false;
  mutable std::mutex mutex_;  // guards what follows
  Stored own_stored_;
  Stored peer_stored_;
};

}  // namespace crosskey::events
