#include "common/events/history.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "common/events/events_sql.h"
#include "common/events/position.h"
#include "common/events/proven.h"
#include "common/status/errors.h"
#include "common/telemetry/log.h"

namespace crosskey::events {
namespace {

const db::Sql kAll{"histories.all",
                   "SELECT name, state, reason FROM histories WHERE name > '' ORDER BY name LIMIT 100"};
const db::Sql kLost{"histories.lost",
                    "UPDATE histories SET state = 2, reason = ? WHERE name = 'own' AND state <> 2 AND EXISTS (SELECT 1 "
                    "FROM feed WHERE feed.name = 'own' AND feed_id = ?)"};
// A database that has lost something stays so.
const db::Sql kRestored{"histories.restored", "UPDATE histories SET state = 4 WHERE name = 'own' AND state = 1"};
const db::Sql kUnharmed{"histories.unharmed",
                        "UPDATE histories SET state = 1, reason = '' WHERE name = 'own' AND state = 4"};
const db::Sql kFloorEvent{"histories.floor", "SELECT sequence, event_id FROM histories WHERE name = 'own'"};

constexpr char kTable[] = R"(
-- Whether histories go on: the one of this service ('own'), and those of the feeds that it consumes. state: 1 goes on,
-- 2 mismatch, 3 repairing, 4 restored. event_id: of the event at sequence, which is the last one that was consumed or,
-- of the own history, removed.
CREATE TABLE IF NOT EXISTS histories (
  name {ascii 40} NOT NULL PRIMARY KEY,
  state TINYINT NOT NULL,
  sequence BIGINT NOT NULL,
  event_id {ascii 36} NOT NULL,
  reason {text 500} NOT NULL
) {table};
INSERT INTO histories (name, state, sequence, event_id, reason) VALUES ('own', 1, 0, '', '') {keep name};
)";

constexpr char kOfFeed[] =
    "INSERT INTO histories (name, state, sequence, event_id, reason) VALUES ('$0', 1, 0, '', '') {keep name};\n";

constexpr size_t kReasonBytes = 500;

}  // namespace

History::History(std::string own, std::string peer, db::Database& database, telemetry::Metrics& metrics)
    : own_(std::move(own)),
      peer_(std::move(peer)),
      database_(database),
      own_mismatch_(metrics.Gauge("crosskey_history_mismatch",
                                  "1 while the history of this service has lost something that another one has seen, "
                                  "or does not go on from what was consumed here.",
                                  {{"service", own_}})),
      peer_mismatch_(metrics.Gauge("crosskey_history_mismatch", "", {{"service", peer_}})) {}

std::vector<db::Component> History::Schema(const std::vector<std::string>& feeds) {
  std::vector<db::Component> components = {{"history", {{1, "0001_initial", kTable}}}};
  for (const std::string& feed : feeds) {
    components.push_back({"history." + feed, {{1, "0001_feed", absl::Substitute(kOfFeed, feed)}}});
  }
  return components;
}

absl::Status History::MarkRestored(db::Tx& tx) { return tx.Execute(kRestored).status(); }

absl::StatusOr<std::vector<FeedPosition>> History::Positions(const Call& call) {
  return database_.Read(call, [&](db::Connection& connection) -> absl::StatusOr<std::vector<FeedPosition>> {
    CROSSKEY_ASSIGN_OR_RETURN(
        auto rows, (connection.Query<std::string, std::string, Sequence, std::string, HistoryState>(sql::kPositions)));
    std::vector<FeedPosition> positions;
    for (auto& [feed, feed_id, last, event_id, state] : rows) {
      positions.push_back({std::move(feed), std::move(feed_id), last, std::move(event_id), state, {}});
      if (positions.back().feed != peer_) continue;
      for (const Look& look : looks_) {
        CROSSKEY_ASSIGN_OR_RETURN(Seen seen, look(connection));
        positions.back().seen.push_back(std::move(seen));
      }
    }
    return positions;
  });
}

// `own` was read after the witnesses, so it has at least what they have seen.
absl::StatusOr<std::string> History::WhyNotHere(db::Connection& connection, const FeedPosition& of_peer,
                                                const FeedInfo& own) const {
  if (!of_peer.feed_id.empty()) {
    if (of_peer.feed_id != own.feed_id) {
      return absl::StrCat(peer_, " knows the history ", of_peer.feed_id, ", and this one is ", own.feed_id);
    }
    CROSSKEY_ASSIGN_OR_RETURN(const std::string why,
                              WhyNotThere(connection, own, of_peer.last_sequence, of_peer.event_id));
    if (!why.empty()) return absl::StrCat(peer_, " has consumed what is not here: ", why);
  }
  for (const Seen& seen : of_peer.seen) {
    const auto misfit = misfits_.find(seen.type);
    if (misfit == misfits_.end()) continue;
    CROSSKEY_ASSIGN_OR_RETURN(const std::string why, misfit->second(connection, seen));
    if (!why.empty()) return absl::StrCat(peer_, " has seen what is not here: ", why);
  }
  return "";
}

absl::StatusOr<std::string> History::WhyNot(const Call& call, const FeedPosition& of_peer) {
  if (of_peer.state == HistoryState::kRepairing) return "";
  return database_.Read(call, [&](db::Connection& connection) -> absl::StatusOr<std::string> {
    CROSSKEY_ASSIGN_OR_RETURN(const FeedInfo own, Feed::Read(connection));
    return WhyNotHere(connection, of_peer, own);
  });
}

absl::Status History::Compare(const Call& call, const FeedPosition& of_peer, const std::string& feed_id) {
  // A repair makes a new history, and what the peer knew before it is not compared with that.
  if (of_peer.state == HistoryState::kRepairing) return absl::OkStatus();
  const auto why_not = [&](db::Connection& connection, const FeedInfo& own) {
    return WhyNotHere(connection, of_peer, own);
  };
  CROSSKEY_ASSIGN_OR_RETURN(const std::string why,
                            database_.Read(call, [&](db::Connection& connection) -> absl::StatusOr<std::string> {
                              CROSSKEY_ASSIGN_OR_RETURN(const FeedInfo own, Feed::Read(connection));
                              if (own.feed_id != feed_id) return "";
                              return why_not(connection, own);
                            }));
  if (!why.empty()) return NoteLost(call, feed_id, why_not);
  if (own_state_ != HistoryState::kRestored) return absl::OkStatus();
  CROSSKEY_RETURN_IF_ERROR(
      database_.Transact(call, "histories", [](db::Tx& tx) { return tx.Execute(kUnharmed).status(); }));
  log::Info("the restored database has lost nothing that the other service has seen");
  return Refresh(call);
}

absl::Status History::NoteLost(const Call& call, const std::string& feed_id, const Why& why) {
  std::string reason;
  CROSSKEY_ASSIGN_OR_RETURN(const int64_t noted,
                            database_.Transact(call, "histories", [&](db::Tx& tx) -> absl::StatusOr<int64_t> {
                              // Against a repair that gives the feed a new name meanwhile. It may change no row that
                              // this transaction changes.
                              CROSSKEY_RETURN_IF_ERROR(LockWholePosition(tx, "own"));
                              // What was read before may have been read on a server that is behind. This is proven by
                              // the COMMIT.
                              CROSSKEY_ASSIGN_OR_RETURN(const FeedInfo own, Feed::Read(tx));
                              CROSSKEY_ASSIGN_OR_RETURN(reason, why(tx, own));
                              if (reason.empty()) return 0;
                              return tx.Execute(kLost, errors::Shortened(reason, kReasonBytes - 3), feed_id);
                            }));
  if (noted > 0) log::Error("this database has lost something: no writes until a repair", {{"reason", reason}});
  return Refresh(call);
}

absl::StatusOr<std::pair<History::Stored, History::Stored>> History::ReadStored(db::Connection& connection) const {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, (connection.Query<std::string, HistoryState, std::string>(kAll)));
  std::pair<Stored, Stored> stored;
  for (const auto& [name, state, reason] : rows) {
    if (name == "own") stored.first = {state, reason};
    if (name == peer_) stored.second = {state, reason};
  }
  return stored;
}

absl::Status History::Refresh(const Call& call) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto stored,
                            database_.Read(call, [&](db::Connection& connection) { return ReadStored(connection); }));
  Set(stored.first, stored.second);
  return absl::OkStatus();
}

void History::Set(const Stored& own, const Stored& peer) {
  std::lock_guard lock(mutex_);
  own_stored_ = own;
  peer_stored_ = peer;
  own_state_ = own.state;
  own_mismatch_.Set(own.state == HistoryState::kGoesOn && !is_replaced_ ? 0 : 1);
  peer_mismatch_.Set(peer.state == HistoryState::kGoesOn ? 0 : 1);
}

std::string History::Replaced() const {
  return "the database is a new one, and " + peer_ + " is paired with another one of " + own_;
}

absl::Status History::MayGoOn() const {
  if (own_state_ == HistoryState::kGoesOn && !is_replaced_) return absl::OkStatus();
  std::lock_guard lock(mutex_);
  if (own_stored_.state == HistoryState::kGoesOn) return errors::HistoryMismatch(own_, Replaced());
  return errors::HistoryMismatch(own_, own_stored_.state == HistoryState::kRestored
                                           ? "the database was restored, and has not been compared with " + peer_
                                           : own_stored_.reason);
}

HistoryState History::peer_state() const {
  std::lock_guard lock(mutex_);
  return peer_stored_.state;
}

absl::Status History::MayPublish(const Call& call) {
  if (MayGoOn().ok()) return absl::OkStatus();
  const auto is_lost = [](const auto& stored) { return stored.ok() && stored->first.state == HistoryState::kMismatch; };
  CROSSKEY_ASSIGN_OR_RETURN(
      const auto stored,
      ReadProven(
          database_, call, [&](db::Connection& connection) { return ReadStored(connection); }, is_lost));
  Set(stored.first, stored.second);
  // Nothing is known to be lost: whoever subscribes has to come again.
  if (own_state_ == HistoryState::kRestored) return errors::PeerUnavailable(peer_);
  return MayGoOn();
}

std::string History::Problem() const {
  std::lock_guard lock(mutex_);
  if (is_replaced_) return own_ + ": " + Replaced();
  if (own_stored_.state == HistoryState::kRestored) return own_ + " was restored, and not compared with " + peer_;
  if (own_stored_.state != HistoryState::kGoesOn) return own_ + " has lost something: " + own_stored_.reason;
  if (peer_stored_.state == HistoryState::kRepairing) return "a repair of the references to " + peer_ + " is going on";
  if (peer_stored_.state != HistoryState::kGoesOn) return peer_stored_.reason;
  return "";
}

std::string OtherEvent(Sequence sequence, const std::string& there, const std::string& here) {
  return absl::StrCat("event ", Value(sequence), " is ", there, " there and ", here, " here");
}

absl::StatusOr<std::string> WhyNotThere(db::Connection& connection, const FeedInfo& own, Sequence sequence,
                                        const std::string& event_id) {
  if (sequence > own.head) {
    return absl::StrCat("event ", Value(sequence), ", and the last one here is ", Value(own.head));
  }
  if (event_id.empty() || sequence < own.floor) return "";
  std::string actual;
  if (sequence == own.floor) {
    CROSSKEY_ASSIGN_OR_RETURN(const auto removed, (connection.QueryOne<Sequence, std::string>(kFloorEvent)));
    if (!removed.has_value() || std::get<0>(*removed) != sequence || std::get<1>(*removed).empty()) return "";
    actual = std::get<1>(*removed);
  } else {
    CROSSKEY_ASSIGN_OR_RETURN(const auto event, connection.QueryOne<std::string>(sql::kEventAt, sequence));
    // It may be trimmed since `own` was read; then it was the right one when it was compared for that.
    if (!event.has_value()) return "";
    actual = std::get<0>(*event);
  }
  if (actual == event_id) return "";
  return OtherEvent(sequence, event_id, actual);
}

}  // namespace crosskey::events
