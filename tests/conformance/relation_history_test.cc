// What the child's side does when the feed of its parents does not go on, or is being repaired.
#include <future>

#include <gtest/gtest.h>

#include "common/status/limits.h"
#include "tests/conformance/relation_shop.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using relation::LookupAnswer;
using relation::ReleaseRequest;
using Ids = std::vector<int64_t>;

constexpr absl::StatusCode kPrecondition = absl::StatusCode::kFailedPrecondition;

// What the peer answers about these owners, as part of the history `feed_id`.
LookupAnswer Told(const Ids& ids, const std::string& feed_id) {
  LookupAnswer answer;
  answer.feed_id = feed_id;
  for (const int64_t id : ids) answer.found.push_back({{RowId{id}, UidOf(id)}, false});
  return answer;
}

ReleaseRequest ReleaseOf(int64_t owner, int64_t deletion_id, const std::string& feed_id = "") {
  ReleaseRequest request;
  request.type = kOwner;
  request.parent = {RowId{owner}, UidOf(owner)};
  request.deletion_id = DeletionId{deletion_id};
  request.feed_id = feed_id;
  return request;
}

class RelationHistory : public DatabaseTest {
 protected:
  void SetState(int state) {
    items_.Run("UPDATE histories SET state = " + std::to_string(state) + ", reason = 'why' WHERE name = 'peer'");
  }
  void SetHistory(const std::string& feed_id) { items_.Run("UPDATE checkpoints SET feed_id = '" + feed_id + "'"); }

  ItemService items_{GetParam()};
};
CROSSKEY_ON_EVERY_DATABASE(RelationHistory);

// Numbers of two histories are never compared.
TEST_P(RelationHistory, AnAnswerOfAnotherHistoryIsAskedForAgain) {
  SetHistory("new");
  items_.peer.OnLookup([&](const Ids& ids) { return Told(ids, items_.peer.lookups().size() == 1 ? "old" : "new"); });
  EXPECT_THAT(items_.AddItem(7), IsOk());
  EXPECT_EQ(items_.peer.lookups().size(), 2u);
}

TEST_P(RelationHistory, AnAnswerThatIsTooOldIsAskedForAgain) {
  items_.peer.OnLookup([&](const Ids& ids) {
    LookupAnswer answer = Told(ids, "");
    if (items_.peer.lookups().size() == 1) answer.asked -= std::chrono::seconds(11);
    return answer;
  });
  EXPECT_THAT(items_.AddItem(7), IsOk());
  EXPECT_EQ(items_.peer.lookups().size(), 2u);
}

// As the one above, but it got too old while the write went on.
TEST_P(RelationHistory, AnAnswerThatBecomesTooOldIsAskedForAgain) {
  LookupAnswer first;
  items_.peer.OnLookup([&](const Ids& ids) {
    LookupAnswer answer = Told(ids, "");
    if (items_.peer.lookups().size() > 1) return answer;
    answer.asked -= std::chrono::seconds(10) - std::chrono::milliseconds(300);
    return first = answer;
  });
  EXPECT_THAT(items_.Write({7},
                           [&](events::Tx&) -> absl::Status {
                             EXPECT_TRUE(WaitFor([&] { return first.IsTooOld(); }));
                             return absl::OkStatus();
                           }),
              IsOk());
  EXPECT_EQ(items_.peer.lookups().size(), 2u);
}

TEST_P(RelationHistory, AReleaseOfAnotherHistoryIsSentAgain) {
  SetHistory("new");
  EXPECT_THAT(items_.Release(ReleaseOf(7, 1, "old")), StatusIs(absl::StatusCode::kAborted, "CONFLICT"));
  EXPECT_EQ(items_.StateOf(7), kAbsent);
  EXPECT_THAT(items_.Release(ReleaseOf(7, 1, "new")), IsOk());
  items_.Know({8});
  EXPECT_THAT(items_.Release(ReleaseOf(8, 1, "old")), StatusIs(absl::StatusCode::kAborted, "CONFLICT"));
  EXPECT_EQ(items_.StateOf(8), kActive);
}

// Such a number is not that of a feed. Up to it, no deletion would refuse the answer any more.
TEST_P(RelationHistory, NoAnswerIsFarAheadOfWhatWasConsumed) {
  ASSERT_THAT(items_.ConsumeDeleted(9, 1), IsOk());
  const int64_t most = items_.Number("SELECT last_sequence FROM checkpoints") + limits::kEventsInFlight;
  const auto answer = [&](int64_t as_of) {
    items_.peer.OnLookup([as_of](const Ids& ids) { return AnswerOf(ids, as_of); });
    return items_.AddItem(7);
  };
  EXPECT_THAT(answer(most + 1), StatusIs(absl::StatusCode::kAborted, "CONFLICT"));
  EXPECT_THAT(items_.Release(8, 1, most + 1), StatusIs(absl::StatusCode::kAborted, "CONFLICT"));
  EXPECT_EQ(items_.StateOf(7), kAbsent);
  EXPECT_EQ(items_.StateOf(8), kAbsent);
  EXPECT_THAT(answer(most), IsOk());
  EXPECT_THAT(items_.Release(8, 1, most), IsOk());
}

TEST_P(RelationHistory, WhileTheFeedDoesNotGoOnNothingNewIsBelieved) {
  items_.Know({8});
  items_.peer.OnLookup([&](const Ids& ids) { return Told(ids, ""); });
  SetState(2);
  EXPECT_THAT(items_.AddItem(7), StatusIs(kPrecondition, "HISTORY_MISMATCH"));
  EXPECT_THAT(items_.Release(ReleaseOf(8, 1)), StatusIs(kPrecondition, "HISTORY_MISMATCH"));
  EXPECT_EQ(items_.StateOf(7), kAbsent);
  EXPECT_EQ(items_.StateOf(8), kActive);
  EXPECT_THAT(items_.AddItem(8), IsOk()) << "what is known needs no answer";
}

// The list may make a row ACTIVE that was released meanwhile.
TEST_P(RelationHistory, DuringARepairNothingIsReleasedAndWritesGoOn) {
  items_.Know({8});
  items_.peer.OnLookup([&](const Ids& ids) { return Told(ids, ""); });
  SetState(3);
  EXPECT_THAT(items_.Release(ReleaseOf(8, 1)), StatusIs(absl::StatusCode::kAborted, "CONFLICT"));
  EXPECT_EQ(items_.StateOf(8), kActive);
  EXPECT_THAT(items_.AddItem(7), IsOk());
}

// The row is about to be removed, and then nothing would be released.
TEST_P(RelationHistory, ATombstoneThatIsReclaimedAnswersForItsOwnDeletionOnly) {
  items_.Know({7});
  ASSERT_THAT(items_.ConsumeDeleted(7, 1), IsOk());
  ASSERT_EQ(items_.StateOf(7), kReclaiming);
  EXPECT_THAT(items_.Release(ReleaseOf(7, 2)), StatusIs(absl::StatusCode::kAborted, "CONFLICT"));
  EXPECT_THAT(items_.Release(ReleaseOf(7, 1)), IsOk());
}

// The id was given again. The write must not refer to the row of the parent that had it before.
TEST_P(RelationHistory, AnAnswerAboutAnotherIncarnationIsAMismatch) {
  items_.peer.OnLookup([&](const Ids& ids) {
    items_.Know({7});  // somebody is faster, with the uid of before
    LookupAnswer answer = Told(ids, "");
    answer.found[0].row.uid = "uid-another";
    return answer;
  });
  EXPECT_THAT(items_.AddItem(7), StatusIs(kPrecondition, "HISTORY_MISMATCH"));
  EXPECT_EQ(items_.AllItems(), 0);
}

TEST_P(RelationHistory, ADeletionOfAnotherIncarnationIsAMismatch) {
  items_.Know({7});
  EXPECT_THAT(items_.Consume({ItemService::Deleted(7, 1, "uid-another")}), StatusIs(kPrecondition, "HISTORY_MISMATCH"));
  EXPECT_EQ(items_.StateOf(7), kActive);
}

}  // namespace
}  // namespace crosskey::testing
