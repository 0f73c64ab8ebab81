// The reclaim: removing the rows that a deleted owner leaves behind.
#include <algorithm>
#include <future>
#include <set>

#include <gmock/gmock.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/relation/child/reclaim.h"
#include "common/status/limits.h"
#include "tests/conformance/relation_shop.h"
#include "tests/conformance/storage.h"

namespace crosskey::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::SizeIs;

class Reclaim : public DatabaseTest {
 protected:
  static void Fill(ItemService& items, int64_t owner, int count, const std::string& column = "owner_id") {
    for (int left = count; left > 0; left -= 1000) {
      ASSERT_THAT(items.AddItems(owner, std::min(left, 1000), column), IsOk());
    }
  }

  // The ids that each event about removed items names, in order.
  static std::vector<std::vector<std::string>> Removed(const ItemService& items) {
    std::vector<std::vector<std::string>> removed;
    for (const std::string& event : items.Events()) {
      if (!absl::StartsWith(event, "shop.v1.ItemsDeleted ")) continue;
      removed.push_back(absl::StrSplit(event.substr(event.find(' ') + 1), ' '));
    }
    return removed;
  }

  static std::string Reclaimed(int64_t owner, int64_t deletion_id, int64_t items) {
    return absl::StrCat("shop.v1.OwnerReclaimed ", deletion_id, " ", owner, " ", UidOf(owner), " ", kItemOwner, "=",
                        items);
  }
};
CROSSKEY_ON_EVERY_DATABASE(Reclaim);

// These tests need a second writer while a transaction is open, which SQLite does not allow.
class ReclaimOnServer : public Reclaim {};
CROSSKEY_ON_EVERY_SERVER(ReclaimOnServer);

TEST_P(Reclaim, GoesByBatchesWithOneEventEach) {
  ItemService items(GetParam());
  items.Know({7});
  Fill(items, 7, 2300);
  ASSERT_THAT(items.ConsumeDeleted(7, 3), IsOk());
  items.sql.Reset();
  int64_t left = 2300;
  int batches = 1;
  for (; items.ReclaimRound(); ++batches) {
    EXPECT_EQ(items.StateOf(7), kReclaiming);
    EXPECT_LT(items.Items(7), left);
    left = items.Items(7);
  }
  EXPECT_EQ(items.StateOf(7), kAbsent);
  EXPECT_EQ(items.sql.counted()["transaction.commit"].statements, batches);
  const auto removed = Removed(items);
  EXPECT_THAT(removed.front(), SizeIs(relation::Pace::kFirstBatch));
  EXPECT_THAT(removed, Each(SizeIs(Le(limits::kReclaimBatchRows))));
  size_t all = 0;
  for (const auto& batch : removed) all += batch.size();
  EXPECT_EQ(all, 2300u);
  EXPECT_EQ(items.LastEvent(), Reclaimed(7, 3, 2300));
  for (const auto& [name, counted] : items.sql.counted()) {
    EXPECT_LE(counted.rows, counted.statements * limits::kReclaimBatchRows) << name;
  }
}

// What fits into one batch costs one transaction, the report included.
TEST_P(Reclaim, FinishesWithTheLastRows) {
  ItemService items(GetParam(), {kItemOwner, kItemKeeper});
  items.Know({7});
  Fill(items, 7, 3);
  Fill(items, 7, 2, "keeper_id");
  ASSERT_THAT(items.ConsumeDeleted(7, 3), IsOk());
  items.sql.Reset();
  EXPECT_FALSE(items.ReclaimRound());
  EXPECT_EQ(items.sql.counted()["transaction.commit"].statements, 1);
  EXPECT_EQ(items.StateOf(7), kAbsent);
  EXPECT_EQ(items.LastEvent(), absl::StrCat("shop.v1.OwnerReclaimed 3 7 uid-7 ", kItemKeeper, "=2 ", kItemOwner, "=3"));
}

TEST_P(Reclaim, DestroysNothingBeforeTheDeletionIsCertain) {
  ItemService items(GetParam());
  items.Know({7});
  Fill(items, 7, 3);
  ASSERT_THAT(items.Release(7, 1), IsOk());
  EXPECT_FALSE(items.ReclaimRound());
  EXPECT_EQ(items.Items(7), 3);
  EXPECT_EQ(items.StateOf(7), kReleased);
  EXPECT_THAT(items.Events(), IsEmpty());
  ASSERT_THAT(items.ConsumeDeleted(7, 1), IsOk());
  items.ReclaimAll();
  EXPECT_EQ(items.Items(7), 0);
}

// The list of owners to reclaim may be old when it is used, so only the state that is found under the lock counts.
TEST_P(Reclaim, LooksAtTheStateAgainUnderTheLock) {
  ItemService items(GetParam());
  items.Know({7});
  Fill(items, 7, 3);
  ASSERT_THAT(items.ConsumeDeleted(7, 1), IsOk());
  items.After("owner_refs.reclaimable", [&] { items.Run("UPDATE owner_refs SET state = 2"); });
  items.ReclaimRound();
  EXPECT_EQ(items.Items(7), 3);
}

TEST_P(Reclaim, LeavesOtherOwnersAlone) {
  ItemService items(GetParam());
  items.Know({6, 7, 8});
  for (const int64_t owner : {6, 7, 8}) Fill(items, owner, 3);
  ASSERT_THAT(items.Release(8, 2), IsOk());
  ASSERT_THAT(items.ConsumeDeleted(7, 1), IsOk());
  items.ReclaimAll();
  EXPECT_EQ(items.Items(6), 3);
  EXPECT_EQ(items.Items(7), 0);
  EXPECT_EQ(items.Items(8), 3);
  EXPECT_EQ(items.StateOf(6), kActive);
}

TEST_P(Reclaim, SetNullClearsTheColumnInBatches) {
  ItemService items(GetParam(), {kLooseItemOwner});
  items.Know({7});
  Fill(items, 7, 1200);
  ASSERT_THAT(items.ConsumeDeleted(7, 1), IsOk());
  EXPECT_TRUE(items.ReclaimRound());
  EXPECT_EQ(items.Items(7), 1200 - relation::Pace::kFirstBatch);
  items.ReclaimAll();
  EXPECT_EQ(items.Number("SELECT COUNT(*) FROM items WHERE owner_id IS NULL"), 1200);
  EXPECT_EQ(items.StateOf(7), kAbsent);
  EXPECT_THAT(items.Events(), ElementsAre(absl::StrCat("shop.v1.OwnerReclaimed 1 7 uid-7 ", kLooseItemOwner, "=1200")));
}

TEST_P(Reclaim, DoesToEachRelationshipWhatItDeclares) {
  ItemService items(GetParam(), {kItemOwner, kItemKeeper});
  items.Know({7, 8});
  Fill(items, 7, 2);
  Fill(items, 7, 3, "keeper_id");
  ASSERT_THAT(items.Write({7, 8},
                          [](events::Tx& tx) {
                            return tx.db()
                                .Execute(
                                    {"items.insert", "INSERT INTO items (uid, owner_id, keeper_id) VALUES (?, ?, ?)"},
                                    "both", 8, 7)
                                .status();
                          }),
              IsOk());
  ASSERT_THAT(items.ConsumeDeleted(7, 1), IsOk());
  items.ReclaimAll();
  EXPECT_EQ(items.AllItems(), 4);
  EXPECT_EQ(items.Items(7, "keeper_id"), 0);
  EXPECT_EQ(items.Items(8), 1);
  EXPECT_EQ(items.LastEvent(), absl::StrCat("shop.v1.OwnerReclaimed 1 7 uid-7 ", kItemKeeper, "=4 ", kItemOwner, "=2"));
}

// Finding that no row is left, removing the reference row and reporting it are one transaction.
TEST_P(Reclaim, ReportsAndForgetsTheReferenceInOneTransaction) {
  ItemService items(GetParam());
  items.Know({7});
  ASSERT_THAT(items.ConsumeDeleted(7, 3), IsOk());
  int64_t row_before_commit = -1;
  size_t events_before_commit = 1;
  items.After("outbox.append", [&] {
    row_before_commit = items.StateOf(7);
    events_before_commit = items.Events().size();
  });
  EXPECT_FALSE(items.ReclaimRound());
  EXPECT_EQ(row_before_commit, kReclaiming);
  EXPECT_EQ(events_before_commit, 0u);
  EXPECT_EQ(items.StateOf(7), kAbsent);
  EXPECT_THAT(items.Events(), ElementsAre(Reclaimed(7, 3, 0)));
}

TEST_P(Reclaim, GoesOnAfterACrashAnywhere) {
  ItemService items(GetParam());
  items.Know({7});
  Fill(items, 7, 2300);
  ASSERT_THAT(items.ConsumeDeleted(7, 3), IsOk());
  int crashes = 0;
  // Each crash comes one statement later than the one before, so that the reclaim gets ahead in spite of them.
  for (bool crashed = true; crashed;) {
    items.CrashAfter(++crashes);
    try {
      items.ReclaimAll();
      crashed = false;
    } catch (const Crash&) {
      items.Restart();
    }
    items.CancelCrash();
  }
  EXPECT_GT(crashes, 5);
  EXPECT_EQ(items.AllItems(), 0);
  EXPECT_EQ(items.StateOf(7), kAbsent);
  std::multiset<std::string> ids;
  for (const auto& batch : Removed(items)) ids.insert(batch.begin(), batch.end());
  EXPECT_EQ(ids.size(), 2300u);
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 2300u) << "announced twice";
  EXPECT_EQ(items.LastEvent(), Reclaimed(7, 3, 2300));
}

TEST_P(Reclaim, TwoAtOnceShareTheWork) {
  ItemService items(GetParam());
  items.Know({7, 8});
  Fill(items, 7, 3500);
  Fill(items, 8, 2500);
  ASSERT_THAT(items.ConsumeDeleted(7, 3), IsOk());
  ASSERT_THAT(items.ConsumeDeleted(8, 4), IsOk());
  auto other = std::async(std::launch::async, [&] { items.ReclaimAll(); });
  items.ReclaimAll();
  other.get();
  items.ReclaimAll();
  EXPECT_EQ(items.AllItems(), 0);
  size_t removed = 0;
  for (const auto& batch : Removed(items)) removed += batch.size();
  EXPECT_EQ(removed, 6000u);
  const auto events = items.Events();
  EXPECT_EQ(std::count(events.begin(), events.end(), Reclaimed(7, 3, 3500)), 1);
  EXPECT_EQ(std::count(events.begin(), events.end(), Reclaimed(8, 4, 2500)), 1);
}

// The second reclaim already has the owner on its list when the first one finishes with it.
TEST_P(Reclaim, FindsNothingToDoWhereAnotherHasFinished) {
  ItemService items(GetParam());
  items.Know({7});
  ASSERT_THAT(items.ConsumeDeleted(7, 3), IsOk());
  items.After("owner_refs.reclaimable", [&] { EXPECT_FALSE(items.ReclaimRound()); });
  EXPECT_FALSE(items.ReclaimRound());
  EXPECT_THAT(items.Events(), ElementsAre(Reclaimed(7, 3, 0)));
}

TEST_P(ReclaimOnServer, DoesNotBlockAnotherOwnersWriters) {
  ItemService items(GetParam());
  items.Know({7, 8});
  Fill(items, 7, 10);
  Fill(items, 8, 10);
  ASSERT_THAT(items.ConsumeDeleted(7, 3), IsOk());
  items.After("items.owner_id.reclaim",
              [&] { EXPECT_THAT(std::async(std::launch::async, [&] { return items.AddItem(8); }).get(), IsOk()); });
  EXPECT_FALSE(items.ReclaimRound());
  EXPECT_EQ(items.StateOf(7), kAbsent);
  EXPECT_EQ(items.Items(8), 11);
}

}  // namespace
}  // namespace crosskey::testing
