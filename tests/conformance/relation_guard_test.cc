// Guarded writes: the foreign key check against another service's rows.
#include <atomic>
#include <future>
#include <set>

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "common/db/sql_error.h"
#include "common/relation/child/guard.h"
#include "common/status/limits.h"
#include "tests/conformance/relation_shop.h"
#include "tests/conformance/storage.h"

namespace crosskey::testing {
namespace {

using relation::Found;
using relation::LookupAnswer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Ids = std::vector<int64_t>;

class Guard : public DatabaseTest {
 protected:
  static LookupAnswer Active(const Ids& ids, int64_t as_of_sequence = 0) { return AnswerOf(ids, as_of_sequence); }

  // What must hold after a refused write to owner 7.
  static void ExpectNothingStored(const ItemService& items) {
    EXPECT_EQ(items.AllItems(), 0);
    EXPECT_EQ(items.StateOf(7), kAbsent);
    EXPECT_THAT(items.Events(), IsEmpty());
  }
};
CROSSKEY_ON_EVERY_DATABASE(Guard);

// These tests need a second writer while a transaction is open, which SQLite does not allow.
class GuardOnServer : public DatabaseTest {};
CROSSKEY_ON_EVERY_SERVER(GuardOnServer);

TEST_P(Guard, AKnownParentCostsOneStatementAndNoCall) {
  ItemService items(GetParam());
  items.Know({7});
  items.sql.Reset();
  ASSERT_THAT(items.AddItem(7), IsOk());
  EXPECT_THAT(items.peer.lookups(), IsEmpty());
  EXPECT_EQ(items.sql.counted(), (std::map<std::string, Counted>{{"transaction.begin", {1, 0}},
                                                                 {"owner_refs.lock_shared", {1, 1}},
                                                                 {"items.insert", {1, 1}},
                                                                 {"transaction.commit", {1, 0}}}));
  EXPECT_EQ(items.Items(7), 1);
}

TEST_P(Guard, SeveralParentsAreLockedInOneStatementByAscendingId) {
  ItemService items(GetParam());
  items.Know({3, 5, 9});
  items.sql.Reset();
  ASSERT_THAT(items.Write({9, 3, 5, 3}, [](events::Tx& tx) { return ItemService::Insert(tx, 5); }), IsOk());
  EXPECT_EQ(items.sql.counted()["owner_refs.lock_shared"], (Counted{1, 3}));
  const auto sample = items.sql.samples().at("owner_refs.lock_shared").rendered;
  const std::set<db::Value> values(sample.values.begin(), sample.values.end());  // the last one fills the list up
  EXPECT_THAT(values, ElementsAre(db::Value(int64_t{3}), db::Value(int64_t{5}), db::Value(int64_t{9})));
  EXPECT_THAT(sample.text, HasSubstr("ORDER BY id"));
  if (!items.is_sqlite()) {
    EXPECT_THAT(sample.text, HasSubstr("LOCK IN SHARE MODE"));
  }
}

TEST_P(Guard, AnUnknownParentIsLookedUpOnce) {
  ItemService items(GetParam());
  items.peer.OnLookup([](const Ids& ids) { return Active(ids); });
  ASSERT_THAT(items.AddItem(7), IsOk());
  EXPECT_EQ(items.StateOf(7), kActive);
  EXPECT_EQ(items.Number("SELECT COUNT(*) FROM owner_refs WHERE uid = 'uid-7'"), 1);
  ASSERT_THAT(items.AddItem(7), IsOk());
  EXPECT_THAT(items.peer.lookups(), ElementsAre(Ids{7}));
  EXPECT_EQ(items.Items(7), 2);
}

TEST_P(Guard, AnAbsentParentIsAForeignKeyViolation) {
  ItemService items(GetParam());
  items.peer.OnLookup([](const Ids&) { return LookupAnswer{}; });
  const absl::Status status = items.AddItem(7);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, "FOREIGN_KEY_VIOLATION"));
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat(kItemOwner, " refers to owners/7")));
  ExpectNothingStored(items);
}

TEST_P(Guard, AParentWhoseDeletionIsUndecidedRefusesForNow) {
  ItemService items(GetParam());
  items.peer.OnLookup([](const Ids&) { return AnswerOf({7}, 0, true); });
  EXPECT_THAT(items.AddItem(7), StatusIs(absl::StatusCode::kAborted, "PARENT_DELETING"));
  ExpectNothingStored(items);
}

TEST_P(Guard, FailsClosedWithoutThePeer) {
  ItemService items(GetParam());
  EXPECT_THAT(items.AddItem(7), StatusIs(absl::StatusCode::kUnavailable, "PEER_UNAVAILABLE"));
  ExpectNothingStored(items);
}

TEST_P(Guard, AReleasedParentIsGoneWithoutAskingAnybody) {
  ItemService items(GetParam());
  items.Know({7});
  ASSERT_THAT(items.Release(7, 1), IsOk());
  EXPECT_THAT(items.AddItem(7), StatusIs(absl::StatusCode::kFailedPrecondition, "FOREIGN_KEY_VIOLATION"));
  ASSERT_THAT(items.ConsumeDeleted(7, 1), IsOk());
  EXPECT_THAT(items.AddItem(7), StatusIs(absl::StatusCode::kFailedPrecondition, "FOREIGN_KEY_VIOLATION"));
  EXPECT_THAT(items.peer.lookups(), IsEmpty());
  EXPECT_EQ(items.AllItems(), 0);
}

TEST_P(Guard, OnlyTheUnknownOfSeveralParentsAreLookedUpAllAtOnce) {
  ItemService items(GetParam());
  items.Know({5});
  items.peer.OnLookup([](const Ids& ids) { return Active(ids); });
  const auto body = [](events::Tx& tx) { return ItemService::Insert(tx, 3); };
  ASSERT_THAT(items.Write({9, 5, 3}, body), IsOk());
  EXPECT_THAT(items.peer.lookups(), ElementsAre(Ids{3, 9}));
  EXPECT_EQ(items.StateOf(3), kActive);
  EXPECT_EQ(items.StateOf(9), kActive);
}

TEST_P(Guard, OneAbsentOfSeveralParentsRefusesAll) {
  ItemService items(GetParam());
  items.Know({5});
  items.peer.OnLookup([](const Ids&) { return Active({3}); });
  const auto body = [](events::Tx& tx) { return ItemService::Insert(tx, 5); };
  const absl::Status status = items.Write({3, 5, 7}, body);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, "FOREIGN_KEY_VIOLATION"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("owners/7"));
  EXPECT_EQ(items.StateOf(3), kAbsent);
  ExpectNothingStored(items);
}

// A write that moves a row to another parent locks the old parent and the new one.
TEST_P(Guard, OneReleasedOfSeveralParentsRefusesAll) {
  ItemService items(GetParam());
  items.Know({3, 5});
  ASSERT_THAT(items.AddItem(3), IsOk());
  ASSERT_THAT(items.Release(5, 1), IsOk());
  const auto body = [](events::Tx& tx) {
    return tx.db().Execute({"items.move", "UPDATE items SET owner_id = 5"}).status();
  };
  EXPECT_THAT(items.Write({3, 5}, body), StatusIs(absl::StatusCode::kFailedPrecondition, "FOREIGN_KEY_VIOLATION"));
  EXPECT_EQ(items.Items(3), 1);
}

TEST_P(Guard, HoldsNoSessionWhileThePeerIsAsked) {
  ItemService items(GetParam(), {kItemOwner}, 1);
  items.peer.OnLookup([&](const Ids& ids) -> absl::StatusOr<LookupAnswer> {
    // This takes the only session and, on SQLite, the turn to write, so the guard must hold neither.
    EXPECT_THAT(items.ConsumeCreated(100), IsOk());
    return Active(ids);
  });
  EXPECT_THAT(items.AddItem(7), IsOk());
  EXPECT_EQ(items.StateOf(100), kActive);
}

TEST_P(Guard, AnErrorOfTheBodyTakesTheNewReferenceBackToo) {
  ItemService items(GetParam());
  items.peer.OnLookup([](const Ids& ids) { return Active(ids); });
  const absl::Status status = items.Write({7}, [](events::Tx& tx) -> absl::Status {
    CROSSKEY_RETURN_IF_ERROR(ItemService::Insert(tx, 7));
    tx.Append({"shop.v1.ItemCreated", "items/1", "1"});
    return errors::EtagMismatch("shop.v1.Item", RowId{1});
  });
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kAborted, "ETAG_MISMATCH"));
  ExpectNothingStored(items);
  EXPECT_EQ(items.peer.lookups().size(), 1u);
}

TEST_P(Guard, ADeadlockRunsTheWholeTransactionAgain) {
  ItemService items(GetParam());
  items.Know({7});
  int runs = 0;
  const absl::Status status = items.Write({7}, [&](events::Tx& tx) -> absl::Status {
    CROSSKEY_RETURN_IF_ERROR(ItemService::Insert(tx, 7));
    return ++runs == 1 ? db::MakeSqlError(db::SqlError::kRetry, "items.insert", "deadlock") : absl::OkStatus();
  });
  EXPECT_THAT(status, IsOk());
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(items.Items(7), 1);
  EXPECT_EQ(items.sql.counted()["owner_refs.lock_shared"].statements, 2) << "the lock went with the first transaction";
}

// Without the fence this interleaving leaves an orphan: the lookup is answered, then the deletion is consumed, then the
// reference row is added.
TEST_P(Guard, AnAnswerOlderThanAConsumedDeletionIsAskedForAgain) {
  ItemService items(GetParam());
  ASSERT_THAT(items.ConsumeCreated(100), IsOk());
  items.peer.OnLookup([&](const Ids& ids) -> absl::StatusOr<LookupAnswer> {
    if (items.peer.lookups().size() > 1) return LookupAnswer{{}, Sequence{2}};
    LookupAnswer answer = Active(ids, 1);
    EXPECT_THAT(items.ConsumeDeleted(7, 1), IsOk());
    return answer;
  });
  EXPECT_THAT(items.AddItem(7), StatusIs(absl::StatusCode::kFailedPrecondition, "FOREIGN_KEY_VIOLATION"));
  EXPECT_EQ(items.peer.lookups().size(), 2u);
  EXPECT_EQ(items.StateOf(7), kAbsent);
  EXPECT_EQ(items.AllItems(), 0);
}

TEST_P(Guard, TheFenceOnlyLooksAtDeletions) {
  ItemService items(GetParam());
  items.peer.OnLookup([&](const Ids& ids) -> absl::StatusOr<LookupAnswer> {
    LookupAnswer answer = Active(ids, 0);
    EXPECT_THAT(items.ConsumeCreated(100), IsOk());
    return answer;
  });
  EXPECT_THAT(items.AddItem(7), IsOk());
  EXPECT_EQ(items.peer.lookups().size(), 1u);
}

TEST_P(Guard, AnswersThatDeletionsOvertakeEachTimeEndInAConflict) {
  ItemService items(GetParam());
  int64_t overtaking = 0;
  items.peer.OnLookup([&](const Ids& ids) -> absl::StatusOr<LookupAnswer> {
    LookupAnswer answer = Active(ids, items.Consumed());
    ++overtaking;
    EXPECT_THAT(items.ConsumeDeleted(100 + overtaking, overtaking), IsOk());
    return answer;
  });
  EXPECT_THAT(items.AddItem(7), StatusIs(absl::StatusCode::kAborted, "CONFLICT"));
  EXPECT_GE(overtaking, limits::kConsistencyRounds);
  EXPECT_LE(overtaking, limits::kConsistencyRounds + 1);
  EXPECT_EQ(items.AllItems(), 0);
  EXPECT_EQ(items.StateOf(7), kAbsent);
}

TEST_P(Guard, OvertakenOnceIsNoConflict) {
  ItemService items(GetParam());
  items.peer.OnLookup([&](const Ids& ids) -> absl::StatusOr<LookupAnswer> {
    LookupAnswer answer = Active(ids, items.Consumed());
    if (items.peer.lookups().size() == 1) {
      EXPECT_THAT(items.ConsumeDeleted(100, 1), IsOk());
    }
    return answer;
  });
  EXPECT_THAT(items.AddItem(7), IsOk());
  EXPECT_EQ(items.peer.lookups().size(), 2u);
  EXPECT_EQ(items.StateOf(7), kActive);
}

TEST_P(Guard, ATombstoneWinsOverAnAnswer) {
  ItemService items(GetParam());
  items.peer.OnLookup([&](const Ids& ids) -> absl::StatusOr<LookupAnswer> {
    LookupAnswer answer = Active(ids);
    EXPECT_THAT(items.Release(7, 1), IsOk());
    return answer;
  });
  EXPECT_THAT(items.AddItem(7), StatusIs(absl::StatusCode::kFailedPrecondition, "FOREIGN_KEY_VIOLATION"));
  EXPECT_EQ(items.StateOf(7), kReleased);
  EXPECT_EQ(items.AllItems(), 0);
}

// The lock is shared, so that writers of one popular owner do not queue. (On SQLite all writers do.)
TEST_P(GuardOnServer, WritersOfOneOwnerDoNotWaitForEachOther) {
  ItemService items(GetParam());
  items.Know({7});
  const auto body = [&](events::Tx& tx) {
    EXPECT_THAT(std::async(std::launch::async, [&] { return items.AddItem(7); }).get(), IsOk());
    return ItemService::Insert(tx, 7);
  };
  EXPECT_THAT(items.Write({7}, body), IsOk());
  EXPECT_EQ(items.Items(7), 2);
}

// The consumer must not look for the reference row before the writer that adds it is done.
TEST_P(Guard, ADeletionWaitsForAWriterThatHasPassedTheFence) {
  ItemService items(GetParam());
  items.peer.OnLookup([](const Ids& ids) { return Active(ids); });
  std::future<absl::Status> consumed;
  const auto body = [&](events::Tx& tx) {
    consumed = std::async(std::launch::async, [&] { return items.ConsumeDeleted(7, 1); });
    items.AwaitLockWait();
    return ItemService::Insert(tx, 7);
  };
  EXPECT_THAT(items.Write({7}, body), IsOk());
  EXPECT_THAT(consumed.get(), IsOk());
  EXPECT_EQ(items.StateOf(7), kReclaiming);
  items.ReclaimAll();
  EXPECT_EQ(items.AllItems(), 0);
  EXPECT_THAT(items.LastEvent(), HasSubstr(absl::StrCat("1 7 uid-7 ", kItemOwner, "=1")));
}

// Otherwise the consumer would find no reference row and report that nothing is left, and then the row would be added.
TEST_P(Guard, NoDeletionIsConsumedBetweenTheFenceAndTheNewReference) {
  ItemService items(GetParam());
  items.peer.OnLookup([](const Ids& ids) { return Active(ids); });
  std::future<absl::Status> consumed;
  items.After("consumer.fence", [&] {
    consumed = std::async(std::launch::async, [&] { return items.ConsumeDeleted(7, 1); });
    items.AwaitLockWait();
  });
  EXPECT_THAT(items.AddItem(7), IsOk());
  EXPECT_THAT(consumed.get(), IsOk());
  EXPECT_EQ(items.StateOf(7), kReclaiming);
  items.ReclaimAll();
  EXPECT_EQ(items.AllItems(), 0);
  EXPECT_EQ(items.StateOf(7), kAbsent);
}

// A write to a row that was there a moment ago: then its owner had a reference row, so an owner that has none now has
// been deleted, and its service need not be asked.
TEST_P(Guard, AnUnknownOwnerCanBeTakenForMissingWithoutAsking) {
  ItemService items(GetParam());
  items.Know({7});
  const auto body = [](events::Tx& tx) { return ItemService::Insert(tx, 7); };
  EXPECT_THAT(items.Write({7, 9}, body, relation::Guard::Unknown::kMissing),
              StatusIs(absl::StatusCode::kFailedPrecondition, "FOREIGN_KEY_VIOLATION"));
  EXPECT_TRUE(items.peer.lookups().empty());
  EXPECT_EQ(items.AllItems(), 0);
  EXPECT_THAT(items.Write({7}, body, relation::Guard::Unknown::kMissing), IsOk());
}

// Two writers have found the owner unknown, and both add its reference row.
TEST_P(Guard, OneOfTwoThatAddTheSameReferenceFindsItThere) {
  ItemService items(GetParam());
  items.peer.OnLookup([&](const Ids& ids) -> absl::StatusOr<LookupAnswer> {
    if (items.peer.lookups().size() == 1) {
      EXPECT_THAT(items.AddItem(7), IsOk());
    }
    return Active(ids);
  });
  EXPECT_THAT(items.AddItem(7), IsOk());
  EXPECT_EQ(items.Items(7), 2);
  EXPECT_EQ(items.Number("SELECT COUNT(*) FROM owner_refs"), 1);
}

}  // namespace
}  // namespace crosskey::testing
