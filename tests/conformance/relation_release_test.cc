// The release: one commit, at which everything that refers to a row vanishes for readers.
#include <future>

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "common/relation/child/release.h"
#include "common/status/limits.h"
#include "tests/conformance/relation_shop.h"
#include "tests/conformance/storage.h"

namespace crosskey::testing {
namespace {

using relation::Action;
using relation::ReleaseAnswer;
using relation::ReleaseRequest;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

MATCHER(Released, "") { return arg.ok() && arg->released; }
MATCHER(Refused, "") { return arg.ok() && !arg->released; }
MATCHER_P3(Rows, relationship, rows, is_minimum, "") {
  *result_listener << arg.relationship << " " << arg.rows << " " << arg.is_minimum;
  return arg.relationship == relationship && arg.rows == rows && arg.is_minimum == is_minimum;
}

class Release : public DatabaseTest {
 protected:
  static ReleaseRequest Request(int64_t owner, int64_t deletion_id) {
    ReleaseRequest request;
    request.type = kOwner;
    request.parent = {RowId{owner}, UidOf(owner)};
    request.deletion_id = DeletionId{deletion_id};
    return request;
  }
};
CROSSKEY_ON_EVERY_DATABASE(Release);

// These tests need a second writer while a transaction is open, which SQLite does not allow.
class ReleaseOnServer : public DatabaseTest {};
CROSSKEY_ON_EVERY_SERVER(ReleaseOnServer);

TEST_P(Release, HidesWithoutTouchingTheRows) {
  ItemService items(GetParam());
  items.Know({7});
  ASSERT_THAT(items.AddItems(7, 50), IsOk());
  items.sql.Reset();
  EXPECT_THAT(items.Release(7, 1), Released());
  EXPECT_EQ(items.StateOf(7), kReleased);
  EXPECT_EQ(items.Items(7), 50);
  for (const auto& [name, counted] : items.sql.counted()) EXPECT_LE(counted.rows, 1) << name;
}

TEST_P(Release, MakesLaterWritesFail) {
  ItemService items(GetParam());
  items.Know({7});
  ASSERT_THAT(items.Release(7, 1), Released());
  EXPECT_THAT(items.AddItem(7), StatusIs(absl::StatusCode::kFailedPrecondition, "FOREIGN_KEY_VIOLATION"));
}

// The writer has locked the reference and not committed yet. A RESTRICT that counted without a lock would miss its row
// (write skew).
TEST_P(Release, WaitsForAWriterAndThenSeesItsRow) {
  ItemService items(GetParam(), {kFrozenItemOwner});
  items.Know({7});
  std::future<absl::StatusOr<ReleaseAnswer>> released;
  const auto body = [&](events::Tx& tx) {
    released = std::async(std::launch::async, [&] { return items.Release(7, 1); });
    items.AwaitLockWait();
    return ItemService::Insert(tx, 7);
  };
  EXPECT_THAT(items.Write({7}, body), IsOk());
  const auto answer = released.get();
  ASSERT_THAT(answer, Refused());
  EXPECT_THAT(answer->counts, ElementsAre(Rows(kFrozenItemOwner, 1, false)));
  EXPECT_EQ(items.StateOf(7), kActive);
}

// The same in the other order: no writer gets in between the count and the commit of the release.
TEST_P(Release, LetsNoWriterInAfterItHasCounted) {
  ItemService items(GetParam(), {kFrozenItemOwner});
  items.Know({7});
  std::future<absl::Status> written;
  items.After("items.owner_id.count", [&] {
    written = std::async(std::launch::async, [&] { return items.AddItem(7); });
    items.AwaitLockWait();
  });
  EXPECT_THAT(items.Release(7, 1), Released());
  EXPECT_THAT(written.get(), StatusIs(absl::StatusCode::kFailedPrecondition, "FOREIGN_KEY_VIOLATION"));
  EXPECT_EQ(items.AllItems(), 0);
}

TEST_P(Release, AnswersARepetitionTheSame) {
  ItemService items(GetParam(), {kFrozenItemOwner});
  items.Know({7, 8});
  ASSERT_THAT(items.AddItem(8), IsOk());
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(items.Release(7, 1), Released());
    EXPECT_THAT(items.Release(8, 2), Refused());
  }
  EXPECT_EQ(items.StateOf(7), kReleased);
  EXPECT_EQ(items.StateOf(8), kActive);
}

TEST_P(Release, RefusesALateDuplicateEvenWhenTheItemsAreGone) {
  ItemService items(GetParam(), {kFrozenItemOwner});
  items.Know({7});
  ASSERT_THAT(items.AddItem(7), IsOk());
  ASSERT_THAT(items.Release(7, 5), Refused());
  items.Run("DELETE FROM items");
  EXPECT_THAT(items.Release(7, 5), Refused());
  EXPECT_THAT(items.Release(7, 4), Refused());
  EXPECT_EQ(items.StateOf(7), kActive);
  EXPECT_THAT(items.AddItem(7), IsOk());
}

TEST_P(Release, OfALaterDeletionCanSucceedAfterARefusal) {
  ItemService items(GetParam(), {kFrozenItemOwner});
  items.Know({7});
  ASSERT_THAT(items.AddItem(7), IsOk());
  ASSERT_THAT(items.Release(7, 5), Refused());
  ASSERT_THAT(items.Release(7, 6), Refused());
  items.Run("DELETE FROM items");
  EXPECT_THAT(items.Release(7, 6), Refused());
  EXPECT_THAT(items.Release(7, 7), Released());
}

TEST_P(Release, LeavesATombstoneForAnUnknownOwner) {
  ItemService items(GetParam());
  EXPECT_THAT(items.Release(7, 1), Released());
  EXPECT_EQ(items.StateOf(7), kReleased);
  EXPECT_EQ(items.Number("SELECT deletion_id FROM owner_refs"), 1);
  // A write finds the tombstone, even while a lookup would still say that the owner exists.
  items.peer.OnLookup([](const std::vector<int64_t>&) { return AnswerOf({7}); });
  EXPECT_THAT(items.AddItem(7), StatusIs(absl::StatusCode::kFailedPrecondition, "FOREIGN_KEY_VIOLATION"));
}

// A duplicate that comes when everything is over must leave no tombstone, because nobody would ever remove it.
TEST_P(Release, OfAnAbsentRowStopsAtTheFence) {
  ItemService items(GetParam());
  ASSERT_THAT(items.Release(7, 1, 0), Released());
  ASSERT_THAT(items.ConsumeDeleted(7, 1), IsOk());
  items.ReclaimAll();
  ASSERT_EQ(items.StateOf(7), kAbsent);
  EXPECT_THAT(items.Release(7, 1, 0), StatusIs(absl::StatusCode::kAborted, "CONFLICT"));
  EXPECT_EQ(items.StateOf(7), kAbsent);
  // The release of another owner is also turned away if its head is older than that event. Its sender then reads the
  // head again.
  EXPECT_THAT(items.Release(8, 2, 0), StatusIs(absl::StatusCode::kAborted, "CONFLICT"));
  EXPECT_THAT(items.Release(8, 2, 1), Released());
}

// Otherwise the consumer would find no row and report that nothing is left, and the tombstone would stay for ever.
TEST_P(Release, OfAnAbsentRowLetsNoDeletionBeConsumedAfterTheFence) {
  ItemService items(GetParam());
  std::future<absl::Status> consumed;
  items.After("consumer.fence", [&] {
    consumed = std::async(std::launch::async, [&] { return items.ConsumeDeleted(7, 1); });
    items.AwaitLockWait();
  });
  EXPECT_THAT(items.Release(7, 1), Released());
  EXPECT_THAT(consumed.get(), IsOk());
  EXPECT_EQ(items.StateOf(7), kReclaiming);
  items.ReclaimAll();
  EXPECT_EQ(items.StateOf(7), kAbsent);
}

TEST_P(Release, OfAKnownRowNeedsNoFence) {
  ItemService items(GetParam());
  items.Know({7, 8});
  ASSERT_THAT(items.ConsumeDeleted(7, 1), IsOk());
  EXPECT_THAT(items.Release(8, 2, 0), Released());
  EXPECT_THAT(items.Release(7, 1, 0), Released()) << "RECLAIMING: the same answer again";
  EXPECT_EQ(items.StateOf(7), kReclaiming);
}

// A guarded write adds the reference row after the release has looked for it and before it inserts it. (SQLite lets no
// writer in between.)
TEST_P(ReleaseOnServer, CountsTheItemOfAWriterThatWasFasterWithTheReference) {
  ItemService items(GetParam(), {kFrozenItemOwner});
  items.peer.OnLookup([](const std::vector<int64_t>&) { return AnswerOf({7}); });
  items.After("owner_refs.lock",
              [&] { EXPECT_THAT(std::async(std::launch::async, [&] { return items.AddItem(7); }).get(), IsOk()); });
  EXPECT_THAT(items.Release(7, 1), Refused());
  EXPECT_EQ(items.StateOf(7), kActive);
}

TEST_P(Release, IsRefusedForAnotherIncarnation) {
  ItemService items(GetParam());
  items.Know({7});
  ReleaseRequest request = Request(7, 1);
  request.parent.uid = "uid-another";
  const auto answer = items.Release(request);
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(items.StateOf(7), kActive);
}

TEST_P(Release, TakesTheRequestsActionForTheDeclaredOne) {
  ItemService items(GetParam());
  items.Know({7});
  ASSERT_THAT(items.AddItem(7), IsOk());
  ReleaseRequest request = Request(7, 1);
  request.overrides = {{kItemOwner, Action::kRestrict}};
  EXPECT_THAT(items.Release(request), Refused());
  EXPECT_EQ(items.StateOf(7), kActive);

  ItemService frozen(GetParam(), {kFrozenItemOwner});
  frozen.Know({7});
  ASSERT_THAT(frozen.AddItem(7), IsOk());
  request.overrides = {{kFrozenItemOwner, Action::kCascade}};
  EXPECT_THAT(frozen.Release(request), Released());
}

TEST_P(Release, IsRefusedByAnyRestrictingRelationship) {
  ItemService items(GetParam(), {kItemOwner, kItemKeeper, kItemSponsor});
  items.Know({7, 8});
  for (const char* column : {"owner_id", "keeper_id", "sponsor_id"}) {
    ASSERT_THAT(items.AddItems(7, 2, column), IsOk());
    if (column != std::string("sponsor_id")) {
      ASSERT_THAT(items.AddItems(8, 2, column), IsOk());
    }
  }
  const auto answer = items.Release(7, 1);
  ASSERT_THAT(answer, Refused());
  EXPECT_THAT(answer->counts, ElementsAre(Rows(kItemSponsor, 2, false)));
  EXPECT_THAT(items.Release(8, 2), Released());
}

TEST_P(Release, CountsARefusalUpToAThousand) {
  ItemService items(GetParam(), {kFrozenItemOwner});
  items.Know({7, 8});
  ASSERT_THAT(items.AddItems(7, limits::kRestrictedRowsCounted), IsOk());
  ASSERT_THAT(items.AddItems(8, limits::kRestrictedRowsCounted + 1), IsOk());
  auto answer = items.Release(7, 1);
  ASSERT_THAT(answer, Refused());
  EXPECT_THAT(answer->counts, ElementsAre(Rows(kFrozenItemOwner, limits::kRestrictedRowsCounted, false)));
  answer = items.Release(8, 2);
  ASSERT_THAT(answer, Refused());
  EXPECT_THAT(answer->counts, ElementsAre(Rows(kFrozenItemOwner, limits::kRestrictedRowsCounted, true)));
}

TEST_P(Release, ThatOnlyValidatesCountsEverythingAndStoresNothing) {
  ItemService items(GetParam(), {kItemOwner, kItemKeeper, kItemSponsor});
  items.Know({7, 8});
  ASSERT_THAT(items.AddItems(7, 1200), IsOk());
  ASSERT_THAT(items.AddItems(8, 3, "sponsor_id"), IsOk());
  const auto validate = [&](int64_t owner) {
    ReleaseRequest request = Request(owner, 0);
    request.validate_only = true;
    return items.Release(request);
  };
  auto answer = validate(7);
  ASSERT_THAT(answer, Released());
  EXPECT_THAT(answer->counts,
              ElementsAre(Rows(kItemOwner, 1200, false), Rows(kItemKeeper, 0, false), Rows(kItemSponsor, 0, false)));
  answer = validate(8);
  ASSERT_THAT(answer, Refused());
  EXPECT_THAT(answer->counts, ElementsAre(Rows(kItemSponsor, 3, false)));
  EXPECT_THAT(validate(9), Released());

  EXPECT_EQ(items.StateOf(7), kActive);
  EXPECT_EQ(items.StateOf(8), kActive);
  EXPECT_EQ(items.StateOf(9), kAbsent);
  EXPECT_EQ(items.Number("SELECT MAX(refused_through) FROM owner_refs"), 0);
  EXPECT_EQ(items.sql.counted().count("owner_refs.lock"), 0u) << "a preview waits for nobody";
  EXPECT_THAT(items.Events(), IsEmpty());
}

}  // namespace
}  // namespace crosskey::testing
