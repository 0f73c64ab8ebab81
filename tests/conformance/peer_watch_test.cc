// events::PeerWatch, and the reasons that relation::Blocked derives from it.
#include "common/events/peer_watch.h"

#include <gtest/gtest.h>

#include "common/db/migrations.h"
#include "common/events/outbox.h"
#include "common/events/sequencer.h"
#include "common/relation/parent/blocked.h"
#include "tests/conformance/storage.h"
#include "tests/support/status_matchers.h"
#include "user-service/storage/schema.h"

namespace crosskey::testing {
namespace {

using relation::DeletionState;

class FakeTransport final : public events::Transport {
 public:
  absl::Status Stream(const events::FeedPosition&, const std::vector<std::string>&,
                      const std::function<absl::Status(const events::Batch&)>&) override {
    return absl::UnavailableError("no stream");
  }
  absl::StatusOr<events::PeerInfo> Info(const Call&) override {
    if (!answers) return absl::UnavailableError("no answer");
    return info;
  }
  void Say(int64_t head, const events::FeedPosition& consumed) {
    answers = true;
    info.who = {"post-service", "00000000-0000-4000-8000-000000000001"};
    info.feed.feed_id = "peer-history";
    info.feed.head = Sequence{head};
    info.positions.assign(1, consumed);
  }
  void Cancel() override {}

  bool answers = false;
  events::PeerInfo info;
};

// user-service's database, and a post-service that says what the test wants.
struct Watching {
  explicit Watching(const std::string& backend) : storage(backend) {
    EXPECT_THAT(db::Migrate(storage.database, TestCall(), users::Schema()), IsOk());
    EXPECT_THAT(pairing.Load(TestCall()), IsOk());
    EXPECT_THAT(feed.EnsureNamed(TestCall()), IsOk());
    own_history = feed.Info(TestCall()).value().feed_id;
  }

  void Append() {
    EXPECT_THAT(outbox.Transact(TestCall(), "test",
                                [](events::Tx& tx) {
                                  tx.Append({"t.Type", "s", "p"});
                                  return absl::OkStatus();
                                }),
                IsOk());
  }
  void Publish() {
    Append();
    EXPECT_EQ(sequencer.Round(TestCall()).value(), 1);
  }
  // Lets the peer say its head, and how far it has consumed this service's feed.
  void PeerSays(int64_t head, int64_t consumed) {
    transport.Say(head, {"user-service", own_history, Sequence{consumed}});
  }
  void OwnPosition(const std::string& feed_id, int64_t position) {
    storage.own.Run("UPDATE checkpoints SET feed_id = '" + feed_id + "', last_sequence = " + std::to_string(position));
  }
  void Look(absl::Duration later = absl::Seconds(2)) {
    now += later;
    EXPECT_THAT(watch.Round(TestCall()), IsOk());
  }
  double Lag() { return MetricOf(storage.metrics, "crosskey_consumer_lag_events", {{"feed", "post-service"}}); }
  // Why a deletion that was begun `age` ago does not move; empty if it does.
  std::string Reason(DeletionState state, absl::Duration age, const std::string& noted = "") const {
    relation::Deletion deletion;
    deletion.state = state;
    deletion.blocked_reason = noted;
    deletion.create_time = absl::ToUnixMicros(now - age);
    return blocked.Reason(deletion);
  }

  Storage storage;
  std::string own_history;
  absl::Time now = absl::Now();
  FakeTransport transport;
  events::Outbox outbox{storage.database, [] {}};
  events::Sequencer sequencer{storage.database};
  events::Feed feed{storage.database, "user-service"};
  events::Pairing pairing{"user-service", "post-service", storage.database, [this] { return now; }, storage.metrics};
  events::History history{"user-service", "post-service", storage.database, storage.metrics};
  events::PeerWatch watch{"user-service", "post-service",         feed,           history, transport,
                          pairing,        [this] { return now; }, storage.metrics};
  relation::Blocked blocked{"post-service", watch, [this] { return now; }};
};

class PeerWatchTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(PeerWatchTest);

TEST_P(PeerWatchTest, TheAgeOfTheOldestUnnumberedEvent) {
  Watching at(GetParam());
  const char* name = "crosskey_oldest_unsequenced_event_seconds";
  at.Look();
  EXPECT_EQ(MetricOf(at.storage.metrics, name), 0);
  at.Append();
  at.now = absl::Now();
  at.Look(absl::Seconds(100));
  EXPECT_GE(MetricOf(at.storage.metrics, name), 100);
  EXPECT_EQ(at.sequencer.Round(TestCall()).value(), 1);
  at.Look();
  EXPECT_EQ(MetricOf(at.storage.metrics, name), 0);
}

// What it says of its positions would let the own log be trimmed.
TEST_P(PeerWatchTest, AStrangerIsNotBelieved) {
  Watching at(GetParam());
  at.Publish();
  at.PeerSays(5, 0);
  at.Look();
  EXPECT_TRUE(at.watch.view().answers);
  at.PeerSays(9, 1);
  at.transport.info.who.id = "00000000-0000-4000-8000-000000000002";
  at.Look();
  EXPECT_FALSE(at.watch.view().answers);
  EXPECT_TRUE(at.watch.view().is_mismatch);
  EXPECT_EQ(at.watch.view().of_peer.last_sequence, Sequence{0});
  EXPECT_EQ(at.Lag(), 5);
  EXPECT_EQ(at.Reason(DeletionState::kPending, absl::Minutes(1)).rfind("PEER_MISMATCH", 0), 0u);
}

// Another process has ended the pair.
TEST_P(PeerWatchTest, APairThatHasEndedIsMadeAnewWithoutARestart) {
  Watching at(GetParam());
  at.PeerSays(0, 0);
  at.Look();
  at.transport.info.who.id = "00000000-0000-4000-8000-000000000002";
  at.Look();
  EXPECT_FALSE(at.watch.view().answers);
  at.storage.own.Run("DELETE FROM instances WHERE name = 'post-service'");
  at.Look();
  EXPECT_TRUE(at.watch.view().answers);
  EXPECT_FALSE(at.watch.view().is_mismatch);
}

TEST_P(PeerWatchTest, AnErrorOfTheOwnDatabaseIsNotThePeersFault) {
  Watching at(GetParam());
  at.PeerSays(0, 0);
  at.transport.info.who.id = std::string(5000, 'x');  // does not fit into its column on a server
  if (at.storage.own.is_sqlite()) at.storage.own.Run("DROP TABLE instances");
  EXPECT_FALSE(at.watch.Round(TestCall()).ok());
}

TEST_P(PeerWatchTest, TheLagIsThePeersHeadLessTheOwnPosition) {
  Watching at(GetParam());
  at.PeerSays(7, 0);
  at.Look();
  EXPECT_EQ(at.Lag(), 7);
  at.OwnPosition("peer-history", 5);
  at.Look();
  EXPECT_EQ(at.Lag(), 2);
  at.OwnPosition("another-history", 7);
  at.Look();
  EXPECT_EQ(at.Lag(), 7);
  at.OwnPosition("peer-history", 9);  // consumed since the peer answered
  at.Look();
  EXPECT_EQ(at.Lag(), 0);
}

TEST_P(PeerWatchTest, SaysHowFarThePeerHasConsumed) {
  Watching at(GetParam());
  EXPECT_FALSE(at.watch.view().asked);
  at.Look();
  EXPECT_TRUE(at.watch.view().asked);
  EXPECT_FALSE(at.watch.view().answers);
  at.PeerSays(0, 4);
  at.Look();
  EXPECT_TRUE(at.watch.view().answers);
  EXPECT_EQ(at.watch.view().of_peer.last_sequence, Sequence{4});
  EXPECT_EQ(at.watch.view().of_peer.feed_id, at.own_history);
  // The peer says nothing about this feed.
  at.transport.Say(0, {"other-service", at.own_history, Sequence{4}});
  at.Look();
  EXPECT_EQ(at.watch.view().of_peer.feed_id, "");
}

TEST_P(PeerWatchTest, AReaderThatIsBehindButMovesHasCaughtUpWithThePast) {
  Watching at(GetParam());
  at.Publish();
  at.PeerSays(0, 0);
  at.Look();
  EXPECT_EQ(at.watch.view().peer_caught_up, absl::InfinitePast());
  const absl::Time first = at.now;
  at.Publish();
  at.PeerSays(0, 1);  // it has consumed what was there at the first look
  at.Look();
  EXPECT_EQ(at.watch.view().peer_caught_up, first);
  const absl::Time second = at.now;
  at.Look();  // the peer stands still
  at.Look();
  EXPECT_EQ(at.watch.view().peer_caught_up, first);
  at.Publish();
  at.PeerSays(0, 2);
  at.Look();
  EXPECT_EQ(at.watch.view().peer_caught_up, second);
  at.PeerSays(0, 3);
  at.Look();
  EXPECT_EQ(at.watch.view().peer_caught_up, at.now);
}

TEST_P(PeerWatchTest, ADeletionThatMovesIsNotBlocked) {
  Watching at(GetParam());
  at.PeerSays(0, 0);
  at.Look();
  for (const DeletionState state : {DeletionState::kIntent, DeletionState::kPending, DeletionState::kReclaiming}) {
    EXPECT_EQ(at.Reason(state, absl::Seconds(1)), "");
    EXPECT_EQ(at.Reason(state, absl::Hours(1)), "");
  }
  // A deletion that is over is not blocked either, even if the peer does not answer.
  at.transport.answers = false;
  at.Look();
  for (const DeletionState state : {DeletionState::kNone, DeletionState::kRefused, DeletionState::kCompleted}) {
    EXPECT_EQ(at.Reason(state, absl::Hours(1), "noted long ago"), "");
  }
}

TEST_P(PeerWatchTest, APeerThatDoesNotAnswerBlocks) {
  Watching at(GetParam());
  EXPECT_EQ(at.Reason(DeletionState::kPending, absl::Hours(1), "noted"), "noted");  // nobody has looked yet
  at.Look();
  EXPECT_EQ(at.Reason(DeletionState::kIntent, absl::Hours(1)), "post-service does not answer");
  EXPECT_EQ(at.Reason(DeletionState::kIntent, absl::Hours(1), "noted"), "noted");
  EXPECT_EQ(at.Reason(DeletionState::kReclaiming, absl::Hours(1)), "post-service does not answer");
  EXPECT_EQ(at.Reason(DeletionState::kPending, absl::Hours(1)),
            "post-service does not answer; its rows stay visible until it is back");
  EXPECT_EQ(at.Reason(DeletionState::kReclaiming, absl::Seconds(1)), "");
  EXPECT_EQ(at.Reason(DeletionState::kPending, absl::Seconds(1), "noted"), "noted");
}

// What was noted when the peer was asked for a release says less.
TEST_P(PeerWatchTest, ALostHistoryIsSaidInPlaceOfWhatWasNoted) {
  Watching at(GetParam());
  at.PeerSays(0, 0);
  at.storage.own.Run("UPDATE histories SET state = 2, reason = 'why' WHERE name = 'own'");
  at.Look();
  EXPECT_EQ(at.Reason(DeletionState::kIntent, absl::Hours(1), "noted").rfind("HISTORY_MISMATCH", 0), 0u)
      << at.Reason(DeletionState::kIntent, absl::Hours(1), "noted");
}

TEST_P(PeerWatchTest, APeerThatHasNotConsumedTheEventBlocks) {
  Watching at(GetParam());
  at.PeerSays(0, 0);
  at.Look();
  at.Publish();
  at.Look(absl::Minutes(1));
  at.Look(absl::Minutes(1));
  const char* reason = "post-service has not consumed the event of the deletion yet";
  for (const DeletionState state : {DeletionState::kPending, DeletionState::kReclaiming}) {
    EXPECT_EQ(at.Reason(state, absl::Seconds(90)), reason);
    EXPECT_EQ(at.Reason(state, absl::Minutes(3)), "");  // the event of an older deletion has been consumed
  }
  at.PeerSays(0, 1);
  at.Look();
  EXPECT_EQ(at.Reason(DeletionState::kReclaiming, absl::Seconds(90)), "");
}

TEST_P(PeerWatchTest, AnOwnConsumerThatIsBehindBlocks) {
  Watching at(GetParam());
  at.PeerSays(3, 0);
  at.OwnPosition("peer-history", 3);
  at.Look();
  at.PeerSays(4, 0);
  at.Look(absl::Minutes(1));
  EXPECT_EQ(at.Reason(DeletionState::kReclaiming, absl::Seconds(30)),
            "the events of post-service are not consumed in time");
  at.OwnPosition("peer-history", 4);
  at.Look();
  EXPECT_EQ(at.Reason(DeletionState::kReclaiming, absl::Seconds(30)), "");
}

}  // namespace
}  // namespace crosskey::testing
