// events::History: what a service remembers of another one, and what that one makes of it.
#include "common/events/history.h"

#include <gtest/gtest.h>

#include "common/db/counters.h"
#include "common/events/trim.h"
#include "common/relation/parent/given_ids.h"
#include "common/status/limits.h"
#include "tests/conformance/event_log.h"
#include "tests/support/faults.h"
#include "tests/support/metric_of.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {
namespace {

using events::FeedPosition;
using events::HistoryState;
using events::Seen;

// post-service's log with four events, and the post-service's own history.
class HistoryTest : public DatabaseTest {
 protected:
  void SetUp() override {
    EXPECT_THAT(log_.feed.EnsureNamed(TestCall()), IsOk());
    log_.Append({"a", "b", "c", "d"});
    while (log_.Round() > 0) continue;
    feed_id_ = log_.feed.Info(TestCall())->feed_id;
  }
  std::string EventAt(int64_t sequence) {
    return log_.storage.own.Query("SELECT event_id FROM outbox WHERE sequence = " + std::to_string(sequence))[0][0];
  }
  FeedPosition At(int64_t sequence, const std::string& event_id) {
    return {"post-service", feed_id_, Sequence{sequence}, event_id};
  }
  std::string WhyNot(const FeedPosition& position) { return log_.history.WhyNot(TestCall(), position).value(); }
  void Compare(const FeedPosition& position) {
    EXPECT_THAT(log_.history.Compare(TestCall(), position, feed_id_), IsOk());
  }
  bool IsLost() { return log_.history.own_state() == HistoryState::kMismatch; }

  Log log_{GetParam()};
  std::string feed_id_;
};
CROSSKEY_ON_EVERY_DATABASE(HistoryTest);

TEST_P(HistoryTest, AnEventHasToBeTheOneThatWasConsumed) {
  EXPECT_EQ(WhyNot(At(3, EventAt(3))), "");
  EXPECT_EQ(WhyNot(At(3, "")), "") << "the id is not known";
  EXPECT_EQ(WhyNot(At(0, "")), "");
  EXPECT_NE(WhyNot(At(3, EventAt(2))), "");
  EXPECT_NE(WhyNot(At(5, "")), "");
  FeedPosition other = At(3, EventAt(3));
  other.feed_id = "another";
  EXPECT_NE(WhyNot(other), "");
  other.state = HistoryState::kRepairing;
  EXPECT_EQ(WhyNot(other), "") << "a repair makes a new history";
}

// Else it would wait for ever for a history that has ended.
TEST_P(HistoryTest, AReaderThatStandsStillNoticesTheEndOfItsHistory) {
  const auto read = [&](int64_t after, const std::string& feed_id) {
    return log_.feed.Read(TestCall(), Sequence{after}, {}, feed_id).status();
  };
  EXPECT_THAT(read(4, feed_id_), IsOk());
  EXPECT_THAT(read(4, ""), IsOk());
  EXPECT_THAT(read(4, "another"), StatusIs(absl::StatusCode::kFailedPrecondition, "FEED_MISMATCH"));
  EXPECT_THAT(read(5, feed_id_), StatusIs(absl::StatusCode::kFailedPrecondition, "HISTORY_MISMATCH"));
}

// Another history may have grown past the place of the reader.
TEST_P(HistoryTest, AReaderGoesOnOnlyFromTheEventThatItHas) {
  const auto read = [&](const std::string& event_id) {
    return log_.feed.Read(TestCall(), Sequence{2}, {}, feed_id_, event_id);
  };
  EXPECT_EQ(read(EventAt(2))->events.size(), 2u);
  EXPECT_THAT(read(EventAt(1)).status(), StatusIs(absl::StatusCode::kFailedPrecondition, "HISTORY_MISMATCH"));
  const std::string second = EventAt(2), third = EventAt(3);
  events::Trim trim(log_.storage.database, log_.feed);
  EXPECT_EQ(trim.Round(TestCall(), At(2, second), absl::InfiniteFuture()).value(), 2);
  EXPECT_EQ(read(second)->events.size(), 2u) << "the event is removed, and what follows is there";
  EXPECT_EQ(trim.Round(TestCall(), At(4, EventAt(4)), absl::InfiniteFuture()).value(), 2);
  EXPECT_THAT(log_.feed.Read(TestCall(), Sequence{4}, {}, feed_id_, third).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, "HISTORY_MISMATCH"));
}

TEST_P(HistoryTest, TheLastEventThatWasRemovedIsRemembered) {
  const std::string second = EventAt(2), third = EventAt(3);
  events::Trim trim(log_.storage.database, log_.feed);
  EXPECT_EQ(trim.Round(TestCall(), At(3, third), absl::InfiniteFuture()).value(), 3);
  EXPECT_EQ(WhyNot(At(3, third)), "");
  EXPECT_NE(WhyNot(At(3, second)), "");
  EXPECT_EQ(WhyNot(At(2, third)), "") << "nothing is known of it any more";
}

// The database can be read and is behind: it has just become one that follows, or is cut off from its group, so that a
// COMMIT does not succeed. What was read there must not be stored by others.
TEST_P(HistoryTest, WhatOthersStoreIsProvenByACommit) {
  const auto other_event = [&] { return log_.feed.Read(TestCall(), Sequence{2}, {}, feed_id_, EventAt(1)).status(); };
  const auto ahead = [&] { return log_.feed.Begin(TestCall(), Sequence{5}, feed_id_, "").status(); };
  const auto other_feed = [&] { return log_.feed.Begin(TestCall(), Sequence{2}, "another", "").status(); };
  const auto lost = [&] { return log_.history.MayPublish(TestCall()); };
  log_.storage.own.Run("UPDATE histories SET state = 2, reason = 'it was' WHERE name = 'own'");
  EXPECT_THAT(log_.history.Refresh(TestCall()), IsOk());
  for (const char* fault : {"sql:cluster_locks.lock=1290@*", "verdict.before_commit=fail@*"}) {
    SetFault(fault);
    for (const absl::Status& answer : {other_event(), ahead(), other_feed(), lost()}) {
      EXPECT_EQ(answer.code(), absl::StatusCode::kUnavailable) << fault << ": " << answer;
    }
    ClearFaults();
  }
  EXPECT_THAT(other_event(), StatusIs(absl::StatusCode::kFailedPrecondition, "HISTORY_MISMATCH"));
  EXPECT_THAT(ahead(), StatusIs(absl::StatusCode::kFailedPrecondition, "HISTORY_MISMATCH"));
  EXPECT_THAT(other_feed(), StatusIs(absl::StatusCode::kFailedPrecondition, "FEED_MISMATCH"));
  EXPECT_THAT(lost(), StatusIs(absl::StatusCode::kFailedPrecondition, "HISTORY_MISMATCH"));
}

// The first look was at a server that was behind. The second one is part of the transaction that stores the loss.
TEST_P(HistoryTest, WhatIsMissingIsLookedForAgainBeforeItIsStored) {
  bool meddled = false;
  log_.storage.database.set_seam(Seam([&](const db::Sql& sql, const db::Rendered&, int64_t) {
    if (sql.name != "feed.info" || meddled) return;
    meddled = true;
    log_.Append({"e"});
    EXPECT_EQ(log_.Round(), 1);
  }));
  Compare(At(5, ""));
  EXPECT_TRUE(meddled);
  EXPECT_FALSE(IsLost());
  Compare(At(6, ""));
  EXPECT_TRUE(IsLost());
}

TEST_P(HistoryTest, ALossIsStoredAndStays) {
  EXPECT_THAT(log_.history.MayGoOn(), IsOk());
  Compare(At(3, EventAt(2)));
  EXPECT_TRUE(IsLost());
  EXPECT_THAT(log_.history.MayGoOn(), StatusIs(absl::StatusCode::kFailedPrecondition, "HISTORY_MISMATCH"));
  EXPECT_EQ(MetricOf(log_.storage.metrics, "crosskey_history_mismatch", {{"service", "post-service"}}), 1);
  Compare(At(3, EventAt(3)));
  EXPECT_TRUE(IsLost());
  events::History later("post-service", "user-service", log_.storage.database, log_.storage.metrics);
  EXPECT_THAT(later.Refresh(TestCall()), IsOk());
  EXPECT_EQ(later.own_state(), HistoryState::kMismatch);
}

// The peer was asked before a repair began.
TEST_P(HistoryTest, AnAnswerOfBeforeARepairSaysNothing) {
  FeedPosition old = At(3, EventAt(2));
  log_.storage.own.Run("UPDATE feed SET feed_id = 'new'");
  Compare(old);
  const auto late = [](db::Connection&, const events::FeedInfo&) -> absl::StatusOr<std::string> { return "late"; };
  EXPECT_THAT(log_.history.NoteLost(TestCall(), feed_id_, late), IsOk());
  EXPECT_FALSE(IsLost());
}

TEST_P(HistoryTest, ARestoredDatabaseTakesNoWritesUntilItWasCompared) {
  log_.storage.own.Run("UPDATE histories SET state = 4 WHERE name = 'own'");
  EXPECT_THAT(log_.history.Refresh(TestCall()), IsOk());
  EXPECT_THAT(log_.history.MayGoOn(), StatusIs(absl::StatusCode::kFailedPrecondition, "HISTORY_MISMATCH"));
  EXPECT_NE(log_.history.Problem(), "");
  // A consumer would store a mismatch.
  EXPECT_THAT(log_.history.MayPublish(TestCall()), StatusIs(absl::StatusCode::kUnavailable, "PEER_UNAVAILABLE"));
  Compare(At(3, EventAt(3)));
  EXPECT_THAT(log_.history.MayGoOn(), IsOk());
  EXPECT_EQ(log_.history.Problem(), "");
}

TEST_P(HistoryTest, IdsThatWereSeenHaveToBeGiven) {
  const relation::GivenIds posts("post.v1.Post", "posts");
  const auto misfit = [&](int64_t id, const std::string& uid) {
    return log_.storage.database
        .Read(TestCall(),
              [&](db::Connection& connection) {
                return posts.Misfit(connection, {"post.v1.Post", RowId{id}, uid});
              })
        .value();
  };
  log_.storage.own.Run("INSERT INTO user_refs (id, uid, state) VALUES (1, 'u', 1)");
  const auto insert = [&](const std::string& uid) {
    log_.storage.own.Run(
        "INSERT INTO posts (uid, user_id, title, content, content_bytes, version, create_time, update_time) VALUES ('" +
        uid + "', 1, 't', 'c', 1, 1, 1, 1)");
  };
  EXPECT_EQ(misfit(0, ""), "") << "nothing was seen";
  EXPECT_NE(misfit(1, "one"), "");
  insert("one");
  insert("two");
  EXPECT_EQ(misfit(1, "one"), "");
  EXPECT_NE(misfit(1, "another"), "");
  log_.storage.own.Run("DELETE FROM posts WHERE uid = 'two'");
  EXPECT_EQ(misfit(2, "two"), "") << "it was given, and is gone";
  EXPECT_NE(misfit(3, "three"), "");
  EXPECT_THAT(posts.Raise(log_.storage.database, TestCall(), {"post.v1.Post", RowId{7}, "x"}), IsOk());
  EXPECT_EQ(misfit(7, "seven"), "");
  insert("next");
  EXPECT_EQ(log_.storage.own.Number("SELECT id FROM posts WHERE uid = 'next'"), 8);
  // Nobody can have lost so many.
  EXPECT_THAT(posts.Raise(log_.storage.database, TestCall(), {"post.v1.Post", RowId{limits::kLargestId}, "x"}), IsOk());
  EXPECT_THAT(posts.Raise(log_.storage.database, TestCall(), {"post.v1.Post", RowId{3}, "x"}), IsOk());
  insert("later");
  EXPECT_EQ(log_.storage.own.Number("SELECT id FROM posts WHERE uid = 'later'"), 9) << "it is never lowered";
}

}  // namespace
}  // namespace crosskey::testing
