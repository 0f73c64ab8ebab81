// The event log from outbox to feed: events are stored with what caused them, numbered once, and read in order.
#include <atomic>
#include <thread>

#include "common/db/sql_error.h"
#include "common/events/events_sql.h"
#include "common/status/limits.h"
#include "tests/conformance/event_log.h"
#include "tests/support/faults.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using absl::StatusCode;
using events::Event;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

class Outbox : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(Outbox);

TEST_P(Outbox, StoresAnEventWithItsTransaction) {
  Log log(GetParam());
  Call call = TestCall();
  call.traceparent = "00-11-22-01";
  const std::string payload("a\0'\\\xFF", 5);
  EXPECT_THAT(log.outbox.Transact(call, "test",
                                  [&](events::Tx& tx) -> absl::Status {
                                    tx.Append({"t.Type", "users/7", payload});
                                    EXPECT_EQ(log.notified, 0);
                                    return tx.db().Execute(kInsertItem, "a").status();
                                  }),
              IsOk());
  EXPECT_EQ(log.notified, 1);
  EXPECT_EQ(log.storage.Names(), "a");
  EXPECT_EQ(log.Round(), 1);
  const std::vector<Event> events = log.feed.Read(TestCall(), Sequence{}).value().events;
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].sequence, Sequence{1});
  EXPECT_EQ(events[0].id.size(), 36U);
  EXPECT_EQ(events[0].source, "post-service");
  EXPECT_EQ(events[0].type, "t.Type");
  EXPECT_EQ(events[0].subject, "users/7");
  EXPECT_EQ(events[0].traceparent, "00-11-22-01");
  EXPECT_EQ(events[0].payload, payload);
  EXPECT_LE(events[0].time, absl::Now());
  EXPECT_GT(events[0].time, absl::Now() - absl::Hours(1));
}

TEST_P(Outbox, StoresNothingOfATransactionThatFails) {
  Log log(GetParam());
  EXPECT_THAT(log.outbox.Transact(TestCall(), "test",
                                  [](events::Tx& tx) {
                                    tx.Append({"t.Type", "users/7", ""});
                                    return absl::NotFoundError("the body's own");
                                  }),
              StatusIs(StatusCode::kNotFound, ""));
  EXPECT_EQ(log.Stored(), 0);
  EXPECT_EQ(log.notified, 0);
}

TEST_P(Outbox, StoresTheEventsOfABodysLastRunOnly) {
  Log log(GetParam());
  int runs = 0;
  EXPECT_THAT(log.outbox.Transact(TestCall(), "test",
                                  [&](events::Tx& tx) -> absl::Status {
                                    tx.Append({"t.Type", absl::StrCat("run/", ++runs), ""});
                                    if (runs == 1) return db::MakeSqlError(db::SqlError::kRetry, "test", "conflict");
                                    return absl::OkStatus();
                                  }),
              IsOk());
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(log.Round(), 1);
  EXPECT_THAT(log.Follow(0), ElementsAre("1 run/2"));
}

TEST_P(Outbox, KeepsTheOrderOfAppend) {
  Log log(GetParam());
  log.Append({"c", "a", "b"});
  log.Append({"a"});
  EXPECT_EQ(log.Round(), 4);
  EXPECT_THAT(log.Follow(0), ElementsAre("1 c", "2 a", "3 b", "4 a"));
}

class OutboxOnServer : public DatabaseTest {};
CROSSKEY_ON_EVERY_SERVER(OutboxOnServer);

TEST_P(OutboxOnServer, TellsNobodyOfATransactionThatLostItsCommit) {
  Log log(GetParam());
  int64_t session = 0;
  log.storage.database.set_seam(Seam([&](const db::Sql& sql, const db::Rendered&, int64_t) {
    if (sql.name == "outbox.append") Kill(log.storage.own, session);
  }));
  EXPECT_THAT(log.outbox.Transact(TestCall(), "test",
                                  [&](events::Tx& tx) {
                                    session = SessionId(tx.db());
                                    tx.Append({"t.Type", "users/7", ""});
                                    return absl::OkStatus();
                                  }),
              StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  EXPECT_EQ(log.Stored(), 0);
  EXPECT_EQ(log.notified, 0);
}

class Sequencing : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(Sequencing);

TEST_P(Sequencing, GoesOnWhereTheLastRoundEnded) {
  Log log(GetParam());
  EXPECT_EQ(log.Round(), 0);
  log.Append({"a", "b"});
  EXPECT_THAT(log.Follow(0), IsEmpty());  // not numbered yet
  EXPECT_EQ(log.Round(), 2);
  EXPECT_EQ(log.Round(), 0);
  log.Append({"c"});
  EXPECT_EQ(log.Round(), 1);
  EXPECT_THAT(log.Follow(2), ElementsAre("3 c"));
  EXPECT_THAT(log.Follow(3), IsEmpty());
  EXPECT_EQ(log.feed.Info(TestCall()).value().head, Sequence{3});
}

TEST_P(Sequencing, LeavesNoGapOfTransactionsThatFailed) {
  Log log(GetParam());
  log.Append({"a"});
  // A transaction that fails takes an id of the table, which is never used again.
  EXPECT_THAT(
      log.storage.database.Transact(
          TestCall(), "test",
          [](db::Tx& tx) -> absl::Status {
            CROSSKEY_RETURN_IF_ERROR(tx.ExecuteRows(events::sql::kAppend, {{"id", "t", "x", 0, "", ""}}).status());
            return absl::NotFoundError("the body's own");
          }),
      Not(IsOk()));
  log.Append({"b"});
  EXPECT_EQ(log.Round(), 2);
  EXPECT_THAT(log.Follow(0), ElementsAre("1 a", "2 b"));
}

TEST_P(Sequencing, TakesABoundedNumberARound) {
  Log log(GetParam());
  log.Append(std::vector<std::string>(limits::kEventBatch + 1, "s"));
  EXPECT_EQ(log.Round(), limits::kEventBatch);
  EXPECT_EQ(log.Round(), 1);
  EXPECT_EQ(log.Follow(0).size(), static_cast<size_t>(limits::kEventBatch));
}

TEST_P(Sequencing, SeveralSequencersNumberEveryEventOnce) {
  Log log(GetParam());
  const int threads = 3, each = 40;
  std::atomic<bool> done = false;
  std::vector<std::thread> sequencers, publishers;
  std::atomic<int64_t> numbered = 0;
  for (int i = 0; i < threads; ++i) {
    sequencers.emplace_back([&] {
      while (!done) numbered += log.Round();
    });
    publishers.emplace_back([&] {
      for (int n = 0; n < each; ++n) log.Append({"a", "b"});
    });
  }
  for (std::thread& publisher : publishers) publisher.join();
  const int64_t all = 2 * threads * each;
  EXPECT_TRUE(WaitFor([&] { return log.storage.own.Number("SELECT COUNT(sequence) FROM outbox") == all; }));
  done = true;
  for (std::thread& sequencer : sequencers) sequencer.join();
  EXPECT_EQ(numbered, all);
  EXPECT_EQ(log.storage.own.Query("SELECT MIN(sequence), MAX(sequence), COUNT(DISTINCT sequence) FROM outbox"),
            (std::vector<std::vector<std::string>>{{"1", std::to_string(all), std::to_string(all)}}));
  EXPECT_EQ(log.feed.Info(TestCall()).value().head, Sequence{all});
}

class SequencingOnServer : public DatabaseTest {};
CROSSKEY_ON_EVERY_SERVER(SequencingOnServer);

// On a server, the order of ids is not the order of commits. On SQLite it is, because there is one writer at a time.
TEST_P(SequencingOnServer, AReaderGetsAnEventWhoseTransactionCommitsAfterALaterOne) {
  Log log(GetParam());
  const auto insert = [](const std::string& subject) {
    return "INSERT INTO outbox (event_id, type, subject, time, traceparent, payload) VALUES (UUID(), 't', '" + subject +
           "', 0, '', '')";
  };
  OtherSession slow(log.storage.own);
  slow.Run("START TRANSACTION");
  slow.Run(insert("early-id"));
  log.storage.own.Run(insert("late-id"));

  EXPECT_EQ(log.Round(), 1);
  EXPECT_THAT(log.Follow(0), ElementsAre("1 late-id"));
  slow.Run("COMMIT");
  EXPECT_EQ(log.Round(), 1);
  EXPECT_THAT(log.Follow(1), ElementsAre("2 early-id"));
  EXPECT_EQ(log.storage.own.Number("SELECT COUNT(*) FROM outbox o, outbox e WHERE o.subject = 'late-id' AND "
                                   "e.subject = 'early-id' AND e.id < o.id AND e.sequence > o.sequence"),
            1);
}

class FeedReading : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(FeedReading);

TEST_P(FeedReading, IsNamedOnce) {
  Log log(GetParam());
  EXPECT_THAT(log.feed.EnsureNamed(TestCall()), IsOk());
  const std::string name = log.feed.Info(TestCall()).value().feed_id;
  EXPECT_EQ(name.size(), 36U);
  EXPECT_THAT(log.feed.EnsureNamed(TestCall()), IsOk());
  EXPECT_EQ(log.feed.Info(TestCall()).value().feed_id, name);
}

TEST_P(FeedReading, BoundsABatchByItsBytesButAlwaysGoesOn) {
  Log log(GetParam());
  for (const int size : {limits::kEventBatchBytes + 1, limits::kEventBatchBytes / 2, 1}) {
    EXPECT_THAT(log.outbox.Transact(TestCall(), "test",
                                    [&](events::Tx& tx) {
                                      tx.Append({"t.Type", "s", std::string(static_cast<size_t>(size), '\0')});
                                      return absl::OkStatus();
                                    }),
                IsOk());
  }
  EXPECT_EQ(log.Round(), 3);
  EXPECT_THAT(log.Follow(0), ElementsAre("1 s"));
  EXPECT_THAT(log.Follow(1), ElementsAre("2 s", "3 s"));
}

TEST_P(FeedReading, LeavesOutAndCountsOtherTypes) {
  Log log(GetParam());
  log.AppendTypes({"t.A", "t.B", "t.A", "t.C", "t.B"});
  EXPECT_EQ(log.Round(), 5);
  const auto read = [&](int64_t after, const std::vector<std::string>& types) {
    const events::Slice slice = log.feed.Read(TestCall(), Sequence{after}, types).value();
    std::string text = absl::StrCat("through ", Value(slice.through), " without ", slice.left_out, ":");
    for (const Event& event : slice.events) {
      absl::StrAppend(&text, " ", Value(event.sequence), event.type, "=", event.payload);
    }
    return text;
  };
  EXPECT_EQ(read(0, {"t.B"}), "through 5 without 3: 2t.B=p 5t.B=p");
  EXPECT_EQ(read(0, {"t.A", "t.C", "t.None"}), "through 5 without 2: 1t.A=p 3t.A=p 4t.C=p");
  EXPECT_EQ(read(2, {"t.None"}), "through 5 without 3:");
  EXPECT_EQ(read(3, {}), "through 5 without 0: 4t.C=p 5t.B=p");
  EXPECT_EQ(read(5, {"t.B"}), "through 5 without 0:");
}

TEST_P(FeedReading, ReadsNoPayloadOfOtherTypes) {
  Log log(GetParam());
  const std::string half(limits::kEventBatchBytes / 2, '\0');
  log.AppendAll({{"t.A", "s", half}, {"t.B", "s", half}, {"t.B", "s", half}, {"t.B", "s", half}, {"t.A", "s", half}});
  EXPECT_EQ(log.Round(), 5);
  // What is left out does not count for the bytes of a batch. What a batch has no room for is not counted as left out.
  const events::Slice one = log.feed.Read(TestCall(), Sequence{}, {"t.A"}).value();
  EXPECT_EQ(one.events.size(), 1U);
  EXPECT_EQ(one.through, Sequence{4});
  EXPECT_EQ(one.left_out, 3);
  EXPECT_EQ(log.feed.Read(TestCall(), one.through, {"t.A"}).value().events.size(), 1U);
}

TEST_P(FeedReading, BoundsWhatItLooksAt) {
  Log log(GetParam());
  log.AppendTypes(std::vector<std::string>(limits::kEventBatch, "t.Other"));
  log.AppendTypes({"t.Wanted"});
  while (log.Round() > 0) continue;
  const events::Slice first = log.feed.Read(TestCall(), Sequence{}, {"t.Wanted"}).value();
  EXPECT_EQ(first.left_out, limits::kEventBatch);
  EXPECT_EQ(first.through, Sequence{limits::kEventBatch});
  EXPECT_TRUE(first.events.empty());
  EXPECT_TRUE(first.is_full());
  const events::Slice second = log.feed.Read(TestCall(), first.through, {"t.Wanted"}).value();
  EXPECT_EQ(second.events.size(), 1U);
  EXPECT_FALSE(second.is_full());
}

TEST_P(FeedReading, ANumberThatIsGivenTwiceDoesNotMakeUpForAMissingOne) {
  Log log(GetParam());
  log.AppendTypes({"t.Other", "t.Other", "t.Other", "t.Other"});
  EXPECT_EQ(log.Round(), 4);
  log.storage.own.Run("UPDATE outbox SET sequence = 2 WHERE sequence = 3");
  const events::Slice slice = log.feed.Read(TestCall(), Sequence{}, {"t.Wanted"}).value();
  EXPECT_EQ(slice.through, Sequence{4});
  EXPECT_EQ(slice.left_out, 3);
}

}  // namespace
}  // namespace crosskey::testing
