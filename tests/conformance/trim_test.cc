// events::Trim: what is removed from the log, and what a subscriber then gets.
#include "common/events/trim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/db/migrations.h"
#include "common/events/consumer.h"
#include "common/events/outbox.h"
#include "common/events/sequencer.h"
#include "common/status/limits.h"
#include "post-service/storage/schema.h"
#include "tests/conformance/storage.h"
#include "tests/support/faults.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {
namespace {

using absl::StatusCode;

const absl::Time kFuture = absl::Now() + absl::Hours(1);

struct Trimmed {
  explicit Trimmed(const std::string& backend) : storage(backend) {
    EXPECT_THAT(db::Migrate(storage.database, TestCall(), posts::Schema()), IsOk());
    EXPECT_THAT(feed.EnsureNamed(TestCall()), IsOk());
    history = feed.Info(TestCall()).value().feed_id;
  }

  void Append(int count) {
    EXPECT_THAT(outbox.Transact(TestCall(), "test",
                                [&](events::Tx& tx) {
                                  for (int i = 0; i < count; ++i) tx.Append({"t.Type", "s", "p"});
                                  return absl::OkStatus();
                                }),
                IsOk());
  }
  void Publish(int count) {
    Append(count);
    while (sequencer.Round(TestCall()).value() > 0) continue;
  }
  int64_t Remove(int64_t consumed, absl::Time before = kFuture) {
    return trim.Round(TestCall(), {"post-service", history, Sequence{consumed}}, before).value();
  }
  // "FLOOR: FIRST-LAST (UNNUMBERED)"
  std::string Kept() {
    const auto row = storage.own
                         .Query(
                             "SELECT MIN(sequence), MAX(sequence), COUNT(*) - COUNT(sequence), COUNT(sequence) FROM "
                             "outbox")
                         .at(0);
    return absl::StrCat(storage.own.Number("SELECT floor FROM feed"), ": ", row[0], "-", row[1], " (", row[2], ")");
  }

  Storage storage;
  std::string history;
  events::Outbox outbox{storage.database, [] {}};
  events::Sequencer sequencer{storage.database};
  events::Feed feed{storage.database, "post-service"};
  events::Trim trim{storage.database, feed};
};

class TrimTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(TrimTest);

TEST_P(TrimTest, RemovesWhatIsOldAndConsumed) {
  Trimmed at(GetParam());
  at.Publish(5);
  EXPECT_EQ(at.Remove(3), 3);
  EXPECT_EQ(at.Kept(), "3: 4-5 (0)");
  EXPECT_EQ(at.Remove(3), 0);
  EXPECT_EQ(at.Remove(5), 2);
  EXPECT_EQ(at.Kept(), "5: NULL-NULL (0)");
  at.Publish(1);
  EXPECT_EQ(at.Kept(), "5: 6-6 (0)");  // numbers go on
}

TEST_P(TrimTest, KeepsWhatThePeerHasNotConsumed) {
  Trimmed at(GetParam());
  at.Publish(2);
  EXPECT_EQ(at.Remove(0), 0);
  EXPECT_EQ(at.trim.Round(TestCall(), {}, kFuture).value(), 0);
  EXPECT_EQ(at.Kept(), "0: 1-2 (0)");
}

TEST_P(TrimTest, KeepsEverythingForAPeerOfAnotherHistory) {
  Trimmed at(GetParam());
  at.Publish(2);
  EXPECT_EQ(at.trim.Round(TestCall(), {"post-service", "another history", Sequence{2}}, kFuture).value(), 0);
  EXPECT_EQ(at.Kept(), "0: 1-2 (0)");
}

// A peer is ahead of a database that was restored from a backup. The events that have these numbers now are not those
// that the peer has consumed.
TEST_P(TrimTest, KeepsEverythingForAPeerThatIsAheadOfIt) {
  Trimmed at(GetParam());
  at.Publish(2);
  const std::string feed_id = at.feed.Info(TestCall()).value().feed_id;
  EXPECT_EQ(at.trim.Round(TestCall(), {"post-service", feed_id, Sequence{3}}, kFuture).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(at.Kept(), "0: 1-2 (0)");
}

TEST_P(TrimTest, KeepsWhatIsYoung) {
  Trimmed at(GetParam());
  at.Publish(3);
  EXPECT_EQ(at.Remove(3, absl::Now() - absl::Hours(1)), 0);
  at.storage.own.Run("UPDATE outbox SET time = 1000000 WHERE sequence <> 2");
  EXPECT_EQ(at.Remove(3, absl::FromUnixSeconds(2)), 1);
  EXPECT_EQ(at.Kept(), "1: 2-3 (0)");  // the third is old, but the events that are kept must have no hole
}

TEST_P(TrimTest, KeepsWhatHasNoNumberYet) {
  Trimmed at(GetParam());
  at.Publish(1);
  at.Append(2);
  EXPECT_EQ(at.Remove(1), 1);
  EXPECT_EQ(at.Kept(), "1: NULL-NULL (2)");
  EXPECT_EQ(at.sequencer.Round(TestCall()).value(), 2);
  EXPECT_EQ(at.Kept(), "1: 2-3 (0)");
}

TEST_P(TrimTest, RemovesABatchAtATime) {
  Trimmed at(GetParam());
  at.Publish(limits::kTrimBatch + 1);
  EXPECT_EQ(at.Remove(limits::kTrimBatch + 1), limits::kTrimBatch);
  EXPECT_EQ(at.Remove(limits::kTrimBatch + 1), 1);
}

// Another process removes some of the events after this one has found them and before it removes them.
TEST_P(TrimTest, OfTwoOneRemoves) {
  Trimmed at(GetParam());
  at.Publish(3);
  bool meddled = false;
  at.storage.database.set_seam(Seam([&](const db::Sql& sql, const db::Rendered&, int64_t) {
    if (sql.name != "trim.oldest" || meddled) return;
    meddled = true;
    EXPECT_EQ(at.Remove(2), 2);
  }));
  EXPECT_EQ(at.Remove(3), 0);
  EXPECT_TRUE(meddled);
  EXPECT_EQ(at.Kept(), "2: 3-3 (0)");
}

TEST_P(TrimTest, AReaderBelowTheFloorIsRefused) {
  Trimmed at(GetParam());
  at.Publish(4);
  ASSERT_EQ(at.Remove(2), 2);
  const auto trimmed = StatusIs(StatusCode::kOutOfRange, "EVENTS_TRIMMED");
  EXPECT_THAT(at.feed.Read(TestCall(), Sequence{0}), trimmed);
  EXPECT_THAT(at.feed.Read(TestCall(), Sequence{1}), trimmed);
  EXPECT_THAT(at.feed.Read(TestCall(), Sequence{1}, {"t.Other"}), trimmed);  // nobody knows what it was
  EXPECT_EQ(at.feed.Read(TestCall(), Sequence{2}).value().events.size(), 2U);
  ASSERT_EQ(at.Remove(4), 2);
  EXPECT_THAT(at.feed.Read(TestCall(), Sequence{3}), trimmed);  // although no event is left behind it
  EXPECT_TRUE(at.feed.Read(TestCall(), Sequence{4}).value().events.empty());
}

}  // namespace
}  // namespace crosskey::testing
