// The consumer of the other service's events: each event takes effect once and in order, or the consumer stops and
// shows that.
#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "common/db/sql_error.h"
#include "common/events/consumer.h"
#include "common/status/errors.h"
#include "tests/conformance/event_log.h"
#include "tests/proto/log.pb.h"
#include "tests/support/faults.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using absl::StatusCode;
using events::Batch;
using events::Consumer;
using events::Event;
using ::testing::ElementsAre;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

constexpr char kFeed[] = "user-service";  // post-service's schema has a checkpoint for it

// Notes the position and the types that it is asked for, delivers `batches` whatever that is, and then says that the
// connection has ended.
class FakeTransport final : public events::Transport {
 public:
  absl::Status Stream(const events::FeedPosition& from, const std::vector<std::string>& types,
                      const std::function<absl::Status(const Batch&)>& deliver) override {
    asked.emplace_back(from.feed_id, Value(from.last_sequence));
    wanted = types;
    for (const Batch& batch : batches) CROSSKEY_RETURN_IF_ERROR(deliver(batch));
    return end;
  }
  absl::StatusOr<events::PeerInfo> Info(const Call&) override { return info; }
  void Cancel() override {}

  absl::StatusOr<events::PeerInfo> info = absl::UnavailableError("no answer");
  std::vector<Batch> batches;
  absl::Status end = absl::UnavailableError("the stream has ended");
  std::vector<std::pair<std::string, int64_t>> asked;
  std::vector<std::string> wanted;
};

constexpr char kHistory[] = "history-1";

// Consecutive events of these types, the first of which follows `after`.
Batch BatchOf(int64_t after, const std::vector<std::string>& types) {
  Batch batch{kHistory, Sequence{after}, Sequence{after}, {}};
  for (const std::string& type : types) {
    Event event;
    event.sequence = batch.through = crosskey::After(batch.through);
    event.type = type;
    batch.events.push_back(event);
  }
  return batch;
}

// The batch as it is if its events of this type are left out.
Batch Without(const std::string& type, Batch batch) {
  const auto rest =
      std::remove_if(batch.events.begin(), batch.events.end(), [&](const Event& event) { return event.type == type; });
  batch.left_out += batch.events.end() - rest;
  batch.events.erase(rest, batch.events.end());
  return batch;
}

// A consumer whose effects insert the event's sequence number into `items`.
struct Consuming {
  explicit Consuming(const std::string& backend)
      : log(backend),
        consumer(
            kFeed, log.outbox, transport, [this] { ++applied; }, log.storage.metrics) {
    consumer.On(*t::Normal::descriptor(), Consumer::Kind::kNormal, Effect());
    consumer.On(*t::Deleted::descriptor(), Consumer::Kind::kDeletion, Effect());
    consumer.On(*t::Hint::descriptor(), Consumer::Kind::kHint, Effect());
  }

  Consumer::Effect Effect() {
    return [this](events::Tx& tx, const Event& event, const auto&) -> absl::Status {
      if (before_tx) before_tx(tx);
      CROSSKEY_RETURN_IF_ERROR(tx.db().Execute(kInsertItem, std::to_string(Value(event.sequence))).status());
      return before_return ? before_return(event) : absl::OkStatus();
    };
  }

  // The row of the checkpoint: "feed_id last_sequence last_deletion_sequence".
  std::string Checkpoint() {
    const auto row = log.storage.own
                         .Query(
                             "SELECT feed_id, last_sequence, last_deletion_sequence FROM checkpoints WHERE feed = "
                             "'user-service'")
                         .at(0);
    return absl::StrCat(row[0], " ", row[1], " ", row[2]);
  }
  // The row of the history: "state sequence event_id".
  std::string Witness() {
    const auto row =
        log.storage.own.Query("SELECT state, sequence, event_id FROM histories WHERE name = 'user-service'").at(0);
    return absl::StrCat(row[0], " ", row[1], " ", row[2]);
  }
  std::string Effects() { return log.storage.Names(); }
  double Metric(const std::string& name, const std::map<std::string, std::string>& labels = {}) {
    return MetricOf(log.storage.metrics, name, labels);
  }

  std::function<void(events::Tx&)> before_tx;  // before the effect of each event
  std::function<absl::Status(const Event&)> before_return;
  std::atomic<int> applied = 0;
  FakeTransport transport;
  Log log;
  Consumer consumer;
};

class Consume : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(Consume);

TEST_P(Consume, MovesTheCheckpointWithTheEffects) {
  Consuming at(GetParam());
  EXPECT_THAT(at.consumer.Apply(BatchOf(0, {"t.Normal", "t.Normal"})), IsOk());
  EXPECT_EQ(at.Effects(), "1,2");
  EXPECT_EQ(at.Checkpoint(), "history-1 2 0");
  EXPECT_EQ(at.Metric("crosskey_consumer_sequence"), 2);
  EXPECT_EQ(at.applied, 1);
}

// As when other servers of a cluster write the same rows all the time, or the database is slow: more than three events
// never go through.
TEST_P(Consume, WhatIsTooMuchForOneTransactionIsDoneInSeveral) {
  for (const absl::Status& too_much :
       {db::MakeSqlError(db::SqlError::kRetry, "test", "conflict"), absl::DeadlineExceededError("slow")}) {
    Consuming at(GetParam());
    int in_transaction = 0;
    at.before_tx = [&](events::Tx& tx) {
      if (in_transaction > 3) in_transaction = 0;  // it was rolled back
      ++in_transaction;
      tx.OnCommit([&] { in_transaction = 0; });
    };
    at.before_return = [&](const Event&) { return in_transaction > 3 ? too_much : absl::OkStatus(); };
    std::vector<std::string> types(9, "t.Normal");
    types[2] = "t.Deleted";
    types[8] = "t.Other";
    int further = 0;
    EXPECT_THAT(at.consumer.Apply(Without("t.Other", BatchOf(0, types)), [&] { return ++further, absl::OkStatus(); }),
                IsOk());
    EXPECT_EQ(at.Effects(), "1,2,3,4,5,6,7,8");
    EXPECT_EQ(at.Checkpoint(), "history-1 9 3");
    EXPECT_GE(at.applied, 3);
    EXPECT_GE(further, 3);
  }
}

TEST_P(Consume, BetweenTheTransactionsOfABatchItMayBeStopped) {
  Consuming at(GetParam());
  at.before_return = [&](const Event& event) {
    return Value(event.sequence) > 1 && at.applied == 0 ? absl::DeadlineExceededError("slow") : absl::OkStatus();
  };
  const auto stop = [&] { return at.applied > 0 ? absl::CancelledError("stop") : absl::OkStatus(); };
  EXPECT_THAT(at.consumer.Apply(BatchOf(0, {"t.Normal", "t.Normal"}), stop), StatusIs(StatusCode::kCancelled, ""));
  EXPECT_EQ(at.Effects(), "1");
  EXPECT_EQ(at.Checkpoint(), "history-1 1 0");
}

TEST_P(Consume, ABatchDeliveredTwiceTakesEffectOnce) {
  Consuming at(GetParam());
  const Batch batch = BatchOf(0, {"t.Normal", "t.Deleted"});
  EXPECT_THAT(at.consumer.Apply(batch), IsOk());
  EXPECT_THAT(at.consumer.Apply(batch), StatusIs(StatusCode::kAborted, ""));
  EXPECT_EQ(at.Effects(), "1,2");
  EXPECT_EQ(at.Checkpoint(), "history-1 2 2");
  EXPECT_EQ(at.applied, 1);
}

TEST_P(Consume, AsksForWhatFollowsTheCheckpoint) {
  Consuming at(GetParam());
  at.transport.batches = {BatchOf(0, {"t.Normal"}), BatchOf(1, {}), BatchOf(1, {"t.Normal"})};
  EXPECT_THAT(at.consumer.Run(TestCall()), StatusIs(StatusCode::kUnavailable, ""));
  EXPECT_EQ(at.Effects(), "1,2");
  EXPECT_EQ(at.applied, 2);  // not for the bookmark
  // The transport delivers the same batches again.
  EXPECT_THAT(at.consumer.Run(TestCall()), StatusIs(StatusCode::kAborted, ""));
  EXPECT_EQ(at.Effects(), "1,2");
  EXPECT_THAT(at.transport.asked, ElementsAre(std::make_pair("", 0), std::make_pair(kHistory, 2)));
}

TEST_P(Consume, StopsWhenItsCallIsCancelled) {
  Consuming at(GetParam());
  at.transport.batches = {BatchOf(0, {"t.Normal"}), BatchOf(1, {"t.Normal"})};
  Call call = TestCall();
  call.cancelled = [&] { return at.applied > 0; };
  EXPECT_THAT(at.consumer.Run(call), StatusIs(StatusCode::kCancelled, ""));
  EXPECT_EQ(at.Effects(), "1");
}

TEST_P(Consume, KeepsTheIdOfTheLastEventAsAWitness) {
  Consuming at(GetParam());
  Batch batch = BatchOf(0, {"t.Normal", "t.Normal"});
  batch.events[1].id = "00000000-0000-4000-8000-000000000002";
  EXPECT_THAT(at.consumer.Apply(batch), IsOk());
  EXPECT_EQ(at.Witness(), "1 2 00000000-0000-4000-8000-000000000002");
  // Only events of other types follow, so their publisher has to say the id of the last one.
  Batch passed{kHistory, Sequence{2}, Sequence{4}, {}, 2, "00000000-0000-4000-8000-000000000004"};
  EXPECT_THAT(at.consumer.Apply(passed), IsOk());
  EXPECT_EQ(at.Witness(), "1 4 00000000-0000-4000-8000-000000000004");
}

// It stays so, however long the feed grows, until a repair.
TEST_P(Consume, AFeedThatDoesNotGoOnIsNotConsumedAnyMore) {
  for (const absl::Status& end :
       {errors::HistoryMismatch(kFeed, "why"), errors::FeedMismatch("another"), errors::EventsTrimmed(Sequence{9})}) {
    Consuming at(GetParam());
    EXPECT_THAT(at.consumer.Apply(BatchOf(0, {"t.Normal"})), IsOk());
    at.transport.end = end;
    EXPECT_THAT(at.consumer.Run(TestCall()), Not(IsOk()));
    EXPECT_EQ(at.Witness().substr(0, 2), "2 ");
    at.transport.end = absl::UnavailableError("the stream has ended");
    at.transport.batches = {BatchOf(1, {"t.Normal"})};
    EXPECT_THAT(at.consumer.Run(TestCall()), StatusIs(StatusCode::kFailedPrecondition, "HISTORY_MISMATCH"));
    EXPECT_THAT(at.consumer.Apply(BatchOf(1, {"t.Normal"})), StatusIs(StatusCode::kAborted, ""));
    EXPECT_EQ(at.Effects(), "1");
    EXPECT_EQ(at.Metric("crosskey_consumer_stalled", {{"feed", kFeed}}), 1);
  }
}

// The last word of an old stream may come after the end of a repair.
TEST_P(Consume, AnEndThatIsOlderThanARepairSaysNothing) {
  for (const absl::Status& end : {errors::HistoryMismatch(kFeed, "why"), errors::FeedMismatch("another")}) {
    Consuming at(GetParam());
    EXPECT_THAT(at.consumer.Apply(BatchOf(0, {"t.Normal"})), IsOk());
    at.transport.batches = {BatchOf(1, {})};
    at.transport.end = end;
    const auto repair = [&]() -> absl::Status {
      at.log.storage.own.Run("UPDATE checkpoints SET feed_id = 'new' WHERE feed = 'user-service'");
      return absl::OkStatus();
    };
    EXPECT_THAT(at.consumer.Run(TestCall(), repair), Not(IsOk()));
    EXPECT_EQ(at.Witness().substr(0, 2), "1 ");
  }
}

TEST_P(Consume, RestsDuringARepair) {
  Consuming at(GetParam());
  at.log.storage.own.Run("UPDATE histories SET state = 3 WHERE name = 'user-service'");
  at.transport.batches = {BatchOf(0, {"t.Normal"})};
  EXPECT_THAT(at.consumer.Run(TestCall()), StatusIs(StatusCode::kUnavailable, ""));
  EXPECT_THAT(at.consumer.Apply(BatchOf(0, {"t.Normal"})), StatusIs(StatusCode::kAborted, ""));
  EXPECT_EQ(at.Effects(), "");
}

TEST_P(Consume, RefusesAGap) {
  Consuming at(GetParam());
  Batch hole = BatchOf(0, {"t.Normal", "t.Normal", "t.Normal"});
  hole.events.erase(hole.events.begin() + 1);
  Batch late = BatchOf(0, {"t.Normal", "t.Normal"});
  late.events.erase(late.events.begin());
  Batch early_end = BatchOf(0, {"t.Normal", "t.Normal"});
  early_end.events.pop_back();
  Batch disordered = BatchOf(0, {"t.Normal", "t.Normal"});
  std::swap(disordered.events[0], disordered.events[1]);
  for (const Batch& batch : {hole, late, early_end, disordered}) {
    EXPECT_THAT(at.consumer.Apply(batch), StatusIs(StatusCode::kFailedPrecondition, ""));
  }
  // This batch begins beyond the checkpoint.
  EXPECT_THAT(at.consumer.Apply(BatchOf(1, {"t.Normal"})), Not(IsOk()));
  EXPECT_EQ(at.Effects(), "");
  EXPECT_EQ(at.Checkpoint(), " 0 0");
}

TEST_P(Consume, AsksForTheTypesThatItHandles) {
  Consuming at(GetParam());
  EXPECT_THAT(at.consumer.Run(TestCall()), StatusIs(StatusCode::kUnavailable, ""));
  EXPECT_THAT(at.transport.wanted, UnorderedElementsAre("t.Normal", "t.Deleted", "t.Hint"));
}

TEST_P(Consume, WhatIsLeftOutIsPassedAndCounted) {
  Consuming at(GetParam());
  const std::vector<std::string> types = {"t.Other", "t.Normal", "t.Other", "t.Other", "t.Deleted", "t.Other"};
  at.transport.batches = {Without("t.Other", BatchOf(0, types)), BatchOf(6, {}),
                          Without("t.Other", BatchOf(6, {"t.Other", "t.Other"}))};
  EXPECT_THAT(at.consumer.Run(TestCall()), StatusIs(StatusCode::kUnavailable, ""));
  EXPECT_EQ(at.Effects(), "2,5");
  EXPECT_EQ(at.Checkpoint(), "history-1 8 5");
  EXPECT_EQ(at.applied, 1);  // not for those that have no effect
  EXPECT_EQ(at.Metric("crosskey_consumer_sequence"), 8);
  EXPECT_EQ(at.Metric("crosskey_consumer_events_total", {{"type", "other"}, {"handled", "false"}}), 6);
}

TEST_P(Consume, ABatchThatOnlyPassesEventsIsTakenOnceAndStartsAtTheCheckpoint) {
  Consuming at(GetParam());
  const Batch batch = Without("t.Other", BatchOf(0, {"t.Other", "t.Other"}));
  EXPECT_THAT(at.consumer.Apply(batch), IsOk());
  EXPECT_THAT(at.consumer.Apply(batch), StatusIs(StatusCode::kAborted, ""));
  EXPECT_THAT(at.consumer.Apply(Without("t.Other", BatchOf(5, {"t.Other"}))), StatusIs(StatusCode::kAborted, ""));
  EXPECT_EQ(at.Checkpoint(), "history-1 2 0");
  EXPECT_EQ(at.Metric("crosskey_consumer_events_total", {{"handled", "false"}}), 2);
}

// An event that is neither sent nor left out is lost.
TEST_P(Consume, RefusesAGapBesideWhatIsLeftOut) {
  Consuming at(GetParam());
  const Batch right = Without("t.Other", BatchOf(0, {"t.Other", "t.Normal", "t.Other", "t.Normal", "t.Other"}));
  std::vector<Batch> wrong(8, right);
  wrong[0].left_out = 2;
  wrong[1].left_out = 4;
  wrong[2].events.pop_back();
  wrong[3].through = Sequence{6};
  std::swap(wrong[4].events[0], wrong[4].events[1]);
  wrong[5].events[1].sequence = wrong[5].events[0].sequence;
  wrong[6].events[1].sequence = Sequence{6};
  wrong[7].events[0].sequence = Sequence{0};
  wrong.push_back({kHistory, Sequence{0}, Sequence{2}, {}, 0});
  wrong.push_back({kHistory, Sequence{0}, Sequence{2}, {}, 1});
  wrong.push_back({kHistory, Sequence{0}, Sequence{0}, {}, 1});
  wrong.push_back({kHistory, Sequence{0}, Sequence{-2}, {}, -2});
  for (const Batch& batch : wrong) {
    at.transport.batches = {batch};
    EXPECT_THAT(at.consumer.Run(TestCall()), StatusIs(StatusCode::kFailedPrecondition, ""));
    EXPECT_EQ(at.Metric("crosskey_consumer_stalled"), 1);
  }
  EXPECT_EQ(at.Effects(), "");
  EXPECT_EQ(at.Checkpoint(), " 0 0");
  EXPECT_THAT(at.consumer.Apply(right), IsOk());
}

TEST_P(Consume, RefusesAnotherHistory) {
  Consuming at(GetParam());
  ASSERT_THAT(at.consumer.Apply(BatchOf(0, {"t.Normal"})), IsOk());
  Batch other = BatchOf(1, {"t.Normal"});
  other.feed_id = "history-2";
  EXPECT_THAT(at.consumer.Apply(other), StatusIs(StatusCode::kFailedPrecondition, "HISTORY_MISMATCH"));
  EXPECT_EQ(at.Effects(), "1");
  EXPECT_EQ(at.Checkpoint(), "history-1 1 0");
}

TEST_P(Consume, OfTwoConsumersOneLosesAndChangesNothing) {
  Consuming at(GetParam());
  // A server lets both transactions begin. There the first one waits with its transaction open until the second has
  // begun.
  std::atomic<int> begun = 0;
  at.log.storage.database.set_seam(Seam([&](const db::Sql& sql, const db::Rendered&, int64_t) {
    if (sql.name == "transaction.begin") ++begun;
  }));
  if (GetParam() != "sqlite") {
    at.before_return = [&](const Event&) {
      EXPECT_TRUE(WaitFor([&] { return begun >= 2; }));
      return absl::OkStatus();
    };
  }
  const Batch batch = BatchOf(0, {"t.Normal", "t.Deleted"});
  std::mutex mutex;
  std::vector<StatusCode> answers;
  std::vector<std::thread> consumers;
  for (int i = 0; i < 2; ++i) {
    consumers.emplace_back([&] {
      const absl::Status status = at.consumer.Apply(batch);
      std::lock_guard lock(mutex);
      answers.push_back(status.code());
    });
  }
  for (std::thread& consumer : consumers) consumer.join();
  EXPECT_THAT(answers, UnorderedElementsAre(StatusCode::kOk, StatusCode::kAborted));
  EXPECT_EQ(at.Effects(), "1,2");
  EXPECT_EQ(at.Checkpoint(), "history-1 2 2");
}

// Before the checkpoint is locked, an effect could find no reference row, and then a guarded write could add it: an
// orphan.
TEST_P(Consume, TheCheckpointIsTheFirstStatement) {
  Consuming at(GetParam());
  std::vector<std::string> statements;
  at.log.storage.database.set_seam(
      Seam([&](const db::Sql& sql, const db::Rendered&, int64_t) { statements.push_back(sql.name); }));
  ASSERT_THAT(at.consumer.Apply(BatchOf(0, {"t.Normal"})), IsOk());
  EXPECT_THAT(statements, ElementsAre("transaction.begin", "consumer.advance", "consumer.note", "items.insert",
                                      "transaction.commit"));
}

TEST_P(Consume, AnEventThatCannotBeAppliedStopsItAndShows) {
  Consuming at(GetParam());
  bool broken = true;
  at.before_return = [&](const Event& event) {
    return broken && event.sequence == Sequence{2} ? absl::InvalidArgumentError("undecodable") : absl::OkStatus();
  };
  const Batch batch = BatchOf(0, {"t.Normal", "t.Deleted", "t.Normal"});
  EXPECT_THAT(at.consumer.Apply(batch), StatusIs(StatusCode::kInvalidArgument, ""));
  EXPECT_EQ(at.Effects(), "");
  EXPECT_EQ(at.Checkpoint(), " 0 0");
  EXPECT_EQ(at.applied, 0);
  at.transport.batches = {batch};
  EXPECT_THAT(at.consumer.Run(TestCall()), StatusIs(StatusCode::kInvalidArgument, ""));
  EXPECT_EQ(at.Metric("crosskey_consumer_stalled", {{"feed", kFeed}}), 1);

  broken = false;
  EXPECT_THAT(at.consumer.Apply(batch), IsOk());
  EXPECT_EQ(at.Effects(), "1,2,3");
  EXPECT_EQ(at.Checkpoint(), "history-1 3 2");
  EXPECT_EQ(at.Metric("crosskey_consumer_stalled", {{"feed", kFeed}}), 0);
}

TEST_P(Consume, AHintThatFailsIsSkipped) {
  Consuming at(GetParam());
  at.before_return = [](const Event& event) {
    return event.type == "t.Hint" ? absl::InvalidArgumentError("undecodable") : absl::OkStatus();
  };
  EXPECT_THAT(at.consumer.Apply(BatchOf(0, {"t.Hint", "t.Normal"})), IsOk());
  EXPECT_EQ(at.Checkpoint(), "history-1 2 0");
  EXPECT_EQ(at.Metric("crosskey_consumer_stalled"), 0);
}

TEST_P(Consume, AHintThatTheDatabaseRefusesIsSkippedButAConflictRepeatsTheBatch) {
  Consuming at(GetParam());
  at.consumer.On<t::Broken>(Consumer::Kind::kHint, [](events::Tx& tx, const Event&, const t::Broken&) {
    return tx.db().Execute({"test.nonsense", "NONSENSE"}).status();
  });
  EXPECT_THAT(at.consumer.Apply(BatchOf(0, {"t.Broken", "t.Normal"})), IsOk());
  EXPECT_EQ(at.Checkpoint(), "history-1 2 0");
  EXPECT_EQ(at.Effects(), "2");

  int conflicts = 1;
  at.before_return = [&](const Event&) {
    return conflicts-- > 0 ? db::MakeSqlError(db::SqlError::kRetry, "test", "conflict") : absl::OkStatus();
  };
  EXPECT_THAT(at.consumer.Apply(BatchOf(2, {"t.Hint"})), IsOk());
  EXPECT_EQ(conflicts, -1);
  EXPECT_EQ(at.Effects(), "2,3");
}

TEST_P(Consume, ATypeThatNobodyAskedForIsPassedOverAndCounted) {
  Consuming at(GetParam());
  EXPECT_THAT(at.consumer.Apply(BatchOf(0, {"t.Future", "t.Normal", "t.Later"})), IsOk());
  EXPECT_EQ(at.Effects(), "2");
  EXPECT_EQ(at.Checkpoint(), "history-1 3 0");
  EXPECT_EQ(at.Metric("crosskey_consumer_events_total", {{"handled", "false"}}), 2);
  EXPECT_EQ(at.Metric("crosskey_consumer_events_total", {{"handled", "true"}, {"type", "t.Normal"}}), 1);
}

TEST_P(Consume, OnlyDeletionsMoveTheFenceAndNeverBack) {
  Consuming at(GetParam());
  const auto apply = [&](int64_t after, const std::vector<std::string>& types) {
    EXPECT_THAT(at.consumer.Apply(BatchOf(after, types)), IsOk());
    return at.Checkpoint();
  };
  EXPECT_EQ(apply(0, {"t.Normal", "t.Hint", "t.Future"}), "history-1 3 0");
  EXPECT_EQ(apply(3, {"t.Deleted", "t.Deleted", "t.Normal"}), "history-1 6 5");
  EXPECT_EQ(apply(6, {"t.Normal"}), "history-1 7 5");
  at.log.storage.own.Run("UPDATE checkpoints SET last_deletion_sequence = 100");
  EXPECT_EQ(apply(7, {"t.Deleted"}), "history-1 8 100");
}

}  // namespace
}  // namespace crosskey::testing
