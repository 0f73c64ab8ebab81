// What the owners' events do to the reference rows.
#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "common/relation/child/parent_events.h"
#include "tests/conformance/relation_shop.h"

namespace crosskey::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ParentEvents : public DatabaseTest {
 protected:
  static std::string Reclaimed(int64_t owner, int64_t deletion_id, int64_t items) {
    return absl::StrCat("shop.v1.OwnerReclaimed ", deletion_id, " ", owner, " ", UidOf(owner), " ", kItemOwner, "=",
                        items);
  }
};
CROSSKEY_ON_EVERY_DATABASE(ParentEvents);

TEST_P(ParentEvents, CreatedSavesTheLookup) {
  ItemService items(GetParam());
  ASSERT_THAT(items.ConsumeCreated(7), IsOk());
  EXPECT_EQ(items.StateOf(7), kActive);
  EXPECT_THAT(items.AddItem(7), IsOk());
  EXPECT_THAT(items.peer.lookups(), IsEmpty());
}

TEST_P(ParentEvents, CreatedTwiceOrAfterALookupChangesNothing) {
  ItemService items(GetParam());
  items.peer.OnLookup([](const std::vector<int64_t>&) { return AnswerOf({7}); });
  ASSERT_THAT(items.AddItem(7), IsOk());
  ASSERT_THAT(items.ConsumeCreated(7), IsOk());
  ASSERT_THAT(items.ConsumeCreated(7), IsOk());
  EXPECT_EQ(items.StateOf(7), kActive);
  EXPECT_EQ(items.Number("SELECT COUNT(*) FROM owner_refs"), 1);
}

TEST_P(ParentEvents, CreatedLateNeverRevivesATombstone) {
  ItemService items(GetParam());
  items.Know({8});
  ASSERT_THAT(items.Release(7, 1), IsOk());
  ASSERT_THAT(items.ConsumeCreated(7), IsOk());
  EXPECT_EQ(items.StateOf(7), kReleased);
  EXPECT_THAT(items.AddItem(7), StatusIs(absl::StatusCode::kFailedPrecondition, "FOREIGN_KEY_VIOLATION"));

  ASSERT_THAT(items.AddItem(8), IsOk());
  ASSERT_THAT(items.ConsumeDeleted(8, 2), IsOk());
  ASSERT_THAT(items.ConsumeCreated(8), IsOk());
  EXPECT_EQ(items.StateOf(8), kReclaiming);
}

TEST_P(ParentEvents, CreatedKeepsWhatWasRefused) {
  ItemService items(GetParam(), {kFrozenItemOwner});
  items.Know({7});
  ASSERT_THAT(items.AddItem(7), IsOk());
  ASSERT_THAT(items.Release(7, 5), IsOk());
  ASSERT_THAT(items.ConsumeCreated(7), IsOk());
  EXPECT_EQ(items.Number("SELECT refused_through FROM owner_refs"), 5);
}

TEST_P(ParentEvents, DeletedOpensATombstoneForTheReclaim) {
  ItemService items(GetParam());
  items.Know({7, 8});
  ASSERT_THAT(items.AddItem(7), IsOk());
  ASSERT_THAT(items.Release(7, 1), IsOk());
  ASSERT_THAT(items.ConsumeDeleted(7, 1), IsOk());
  EXPECT_EQ(items.StateOf(7), kReclaiming);
  EXPECT_EQ(items.StateOf(8), kActive);
  EXPECT_THAT(items.Events(), IsEmpty()) << "nothing is reclaimed yet";
}

TEST_P(ParentEvents, DeletedReleasesWhereTheReleaseDidNotArrive) {
  ItemService items(GetParam());
  items.Know({7});
  ASSERT_THAT(items.AddItem(7), IsOk());
  ASSERT_THAT(items.ConsumeDeleted(7, 3), IsOk());
  EXPECT_EQ(items.StateOf(7), kReclaiming);
  EXPECT_EQ(items.Number("SELECT deletion_id FROM owner_refs"), 3);
  EXPECT_THAT(items.AddItem(7), StatusIs(absl::StatusCode::kFailedPrecondition, "FOREIGN_KEY_VIOLATION"));
}

TEST_P(ParentEvents, DeletedReleasesWhateverWasRefusedBefore) {
  ItemService items(GetParam(), {kFrozenItemOwner});
  items.Know({7});
  ASSERT_THAT(items.AddItem(7), IsOk());
  ASSERT_FALSE(items.Release(7, 5)->released);
  ASSERT_THAT(items.ConsumeDeleted(7, 4), IsOk());
  EXPECT_EQ(items.StateOf(7), kReclaiming);
}

TEST_P(ParentEvents, DeletedOfAnUnknownOwnerIsReportedAtOnce) {
  ItemService items(GetParam());
  ASSERT_THAT(items.ConsumeDeleted(7, 3), IsOk());
  EXPECT_EQ(items.StateOf(7), kAbsent);
  EXPECT_THAT(items.Events(), ElementsAre(Reclaimed(7, 3, 0)));
}

TEST_P(ParentEvents, DeliveredTwiceTakesEffectOnce) {
  ItemService items(GetParam());
  const events::Batch batch{"history", Sequence{0}, Sequence{1}, {EventOf(1, ItemService::Deleted(7, 3))}};
  ASSERT_THAT(items.Apply(batch), IsOk());
  EXPECT_EQ(items.Apply(batch).code(), absl::StatusCode::kAborted);
  EXPECT_THAT(items.Events(), ElementsAre(Reclaimed(7, 3, 0)));
  EXPECT_EQ(items.Consumed(), 1);
}

// The feed has events in the order of their commits, and the consumer accepts no other order.
TEST_P(ParentEvents, DeletedCannotComeBeforeItsCreated) {
  ItemService items(GetParam());
  const events::Event created = EventOf(1, ItemService::Created(7));
  const events::Event deleted = EventOf(2, ItemService::Deleted(7, 3));
  EXPECT_EQ(items.Apply({"history", Sequence{0}, Sequence{2}, {deleted, created}}).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(items.Apply({"history", Sequence{1}, Sequence{2}, {deleted}}).ok());
  EXPECT_EQ(items.Consumed(), 0);
  EXPECT_THAT(items.Events(), IsEmpty());

  ASSERT_THAT(items.Apply({"history", Sequence{0}, Sequence{2}, {created, deleted}}), IsOk());
  EXPECT_EQ(items.StateOf(7), kReclaiming);
  items.ReclaimAll();
  EXPECT_EQ(items.StateOf(7), kAbsent);
  EXPECT_THAT(items.Events(), ElementsAre(Reclaimed(7, 3, 0)));
}

TEST_P(ParentEvents, DeletedOfAnotherIncarnationStopsTheConsumer) {
  ItemService items(GetParam());
  items.Know({7});
  const events::Batch batch{
      "history", Sequence{0}, Sequence{1}, {EventOf(1, ItemService::Deleted(7, 3, "uid-another"))}};
  EXPECT_EQ(items.Apply(batch).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(items.StateOf(7), kActive);
  EXPECT_EQ(items.Consumed(), 0);
}

// Effect and checkpoint are one transaction: otherwise, after a crash, the event would take effect twice or never.
TEST_P(ParentEvents, ACrashBeforeTheCommitLeavesTheEventToBeConsumedAgain) {
  ItemService items(GetParam());
  items.Know({7});
  items.After("owner_refs.release", [] { throw Crash(); });
  EXPECT_THROW((void)items.ConsumeDeleted(7, 3), Crash);
  items.Restart();
  EXPECT_EQ(items.Consumed(), 0);
  EXPECT_EQ(items.StateOf(7), kActive);
  EXPECT_EQ(items.Number("SELECT last_deletion_sequence FROM checkpoints"), 0);
  ASSERT_THAT(items.ConsumeDeleted(7, 3), IsOk());
  EXPECT_EQ(items.StateOf(7), kReclaiming);
}

}  // namespace
}  // namespace crosskey::testing
