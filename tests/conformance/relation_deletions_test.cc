// The parent's side of a deletion: intent, release, drop, with every kind of answer from the peer.
#include "tests/conformance/relation_deletions.h"

#include "absl/strings/str_cat.h"
#include "common/status/limits.h"

namespace crosskey::testing {
namespace {

using relation::Action;
using relation::DeletionState;
using relation::ReleaseAnswer;
using relation::ReleaseRequest;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Deletions : public DeletionTest {};
CROSSKEY_ON_EVERY_DATABASE(Deletions);

TEST_P(Deletions, DropsTheRowOnceItIsReleased) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  const int64_t grace = owners.Create();
  const auto lookup = owners.Lookup({ada});
  ASSERT_THAT(lookup, IsOk());
  const std::string uid = lookup->found.front().row.uid;
  owners.ReadFeed(0);
  owners.peer.OnRelease([&](const ReleaseRequest& request) {
    EXPECT_EQ(request.type, kOwner);
    EXPECT_EQ(request.parent.id, RowId{ada});
    EXPECT_EQ(request.parent.uid, uid);
    EXPECT_EQ(request.as_of_sequence, Sequence{2});
    EXPECT_EQ(request.overrides, (std::map<std::string, Action>{{kItemOwner, Action::kCascade}}));
    EXPECT_FALSE(request.validate_only);
    EXPECT_EQ(owners.StateOf(ada), kDeleting) << "the intent is stored before anybody is asked";
    EXPECT_THAT(DeletedEvents(owners), IsEmpty());
    return kYes;
  });
  // Record, row and event change in one transaction, so nobody sees a part of that before its commit.
  owners.After("outbox.append", [&] {
    EXPECT_EQ(owners.StateOf(ada), kDeleting);
    EXPECT_THAT(owners.Deletions(ada), ElementsAre(DeletionState::kIntent));
  });
  const auto deletion = owners.Delete(ada);
  ASSERT_THAT(deletion, InState(DeletionState::kReclaiming));
  EXPECT_EQ((*deletion)->parent.id, RowId{ada});
  EXPECT_EQ((*deletion)->parent.uid, uid);
  EXPECT_EQ((*deletion)->action, Action::kCascade);
  EXPECT_EQ(owners.StateOf(ada), kAbsent);
  EXPECT_EQ(owners.StateOf(grace), kActive);
  EXPECT_THAT(DeletedEvents(owners),
              ElementsAre(absl::StrCat("shop.v1.OwnerDeleted ", ada, " ", uid, " ", Value((*deletion)->deletion_id))));
  EXPECT_THAT(owners.peer.releases(), SizeIs(1));
}

TEST_P(Deletions, CascadeGoesOnWithoutThePeer) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  const auto deletion = owners.Delete(ada);
  ASSERT_THAT(deletion, InState(DeletionState::kPending));
  EXPECT_NE((*deletion)->blocked_reason, "");
  EXPECT_EQ(owners.StateOf(ada), kAbsent);
  EXPECT_THAT(DeletedEvents(owners), SizeIs(1));
}

TEST_P(Deletions, SetNullGoesOnWithoutThePeer) {
  OwnerService owners(GetParam(), {kLooseItemOwner});
  EXPECT_THAT(owners.Delete(owners.Create()), InState(DeletionState::kPending));
}

TEST_P(Deletions, NothingIsPendingThatCouldBeRefused) {
  // The first relationship cascades, another one restricts.
  OwnerService owners(GetParam(), {kItemOwner, kItemSponsor});
  const int64_t ada = owners.Create();
  owners.peer.OnRelease(AfterPreflight(Away()));
  EXPECT_THAT(owners.Delete(ada), StatusIs(absl::StatusCode::kUnavailable, "PEER_UNAVAILABLE"));
  EXPECT_THAT(owners.Deletions(ada), ElementsAre(DeletionState::kIntent));
}

TEST_P(Deletions, TheDeclaredActionAppliesUnlessTheRequestNamesAnother) {
  OwnerService owners(GetParam(), {kFrozenItemOwner});
  const int64_t ada = owners.Create();
  owners.peer.OnRelease(Refuse());
  EXPECT_THAT(owners.Delete(ada), StatusIs(absl::StatusCode::kFailedPrecondition, "RESTRICTED"));
  owners.peer.OnRelease(nullptr);
  EXPECT_THAT(owners.Delete(ada, Action::kCascade), InState(DeletionState::kPending));
}

TEST_P(Deletions, ARefusedPreflightLeavesNoTrace) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  owners.peer.OnRelease(Refuse());
  EXPECT_THAT(owners.Delete(ada, Action::kRestrict), StatusIs(absl::StatusCode::kFailedPrecondition, "RESTRICTED"));
  EXPECT_EQ(owners.StateOf(ada), kActive);
  EXPECT_THAT(owners.Deletions(ada), IsEmpty());
  ASSERT_THAT(owners.peer.releases(), SizeIs(1));
  EXPECT_TRUE(owners.peer.releases().front().validate_only);
}

TEST_P(Deletions, APreflightWithoutAnAnswerLeavesNoTrace) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  EXPECT_THAT(owners.Delete(ada, Action::kRestrict), StatusIs(absl::StatusCode::kUnavailable, "PEER_UNAVAILABLE"));
  EXPECT_EQ(owners.StateOf(ada), kActive);
  EXPECT_THAT(owners.Deletions(ada), IsEmpty());
}

TEST_P(Deletions, ARefusedReleaseMakesTheRowActiveAgain) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  owners.peer.OnRelease(AfterPreflight(kNo));
  EXPECT_THAT(owners.Delete(ada, Action::kRestrict), StatusIs(absl::StatusCode::kFailedPrecondition, "RESTRICTED"));
  EXPECT_EQ(owners.StateOf(ada), kActive);
  EXPECT_THAT(owners.Deletions(ada), ElementsAre(DeletionState::kRefused));
  EXPECT_THAT(DeletedEvents(owners), IsEmpty());
}

// After the intent only a definite answer decides. A missing answer is no refusal, because the peer may have released.
TEST_P(Deletions, RestrictKeepsTheIntentWhileTheAnswerIsUnknown) {
  for (const absl::Status& unknown : {Away(), absl::InternalError("broken"), absl::ResourceExhaustedError("full"),
                                      absl::FailedPreconditionError("")}) {
    OwnerService owners(GetParam());
    const int64_t ada = owners.Create();
    owners.peer.OnRelease(AfterPreflight(unknown));
    EXPECT_THAT(owners.Delete(ada, Action::kRestrict), StatusIs(absl::StatusCode::kUnavailable, "PEER_UNAVAILABLE"));
    EXPECT_EQ(owners.StateOf(ada), kDeleting);
    EXPECT_THAT(owners.Deletions(ada), ElementsAre(DeletionState::kIntent));
    EXPECT_NE(owners.Latest(ada)->blocked_reason, "");
    EXPECT_THAT(DeletedEvents(owners), IsEmpty());
    EXPECT_THAT(owners.Lookup({ada})->found, ElementsAre(::testing::Field(&relation::Found::deleting, true)));
  }
}

TEST_P(Deletions, RecoveryFinishesAnOldIntent) {
  for (const bool released : {true, false}) {
    OwnerService owners(GetParam());
    const int64_t ada = owners.Create();
    owners.peer.OnRelease(AfterPreflight(Away()));
    ASSERT_FALSE(owners.Delete(ada, Action::kRestrict).ok());
    owners.peer.OnRelease(released ? Agree() : Refuse());
    ASSERT_THAT(owners.Recover(), IsOk());
    EXPECT_THAT(owners.Deletions(ada), ElementsAre(DeletionState::kIntent)) << "too young, its caller may be at it";

    owners.Restart();
    owners.Advance(limits::kIntentRecoveryAge + absl::Seconds(1));
    ASSERT_THAT(owners.Recover(), IsOk());
    EXPECT_EQ(owners.peer.releases().back().overrides.at(kItemOwner), Action::kRestrict) << "the stored action";
    EXPECT_THAT(owners.Deletions(ada), ElementsAre(released ? DeletionState::kReclaiming : DeletionState::kRefused));
    EXPECT_EQ(owners.StateOf(ada), released ? kAbsent : kActive);
    EXPECT_EQ(owners.Latest(ada)->blocked_reason, "");
    EXPECT_THAT(DeletedEvents(owners), SizeIs(released ? 1 : 0));
  }
}

TEST_P(Deletions, RecoveryTriesAgainUntilThereIsAnAnswer) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  owners.peer.OnRelease(AfterPreflight(Away()));
  ASSERT_FALSE(owners.Delete(ada, Action::kRestrict).ok());
  owners.Advance(absl::Minutes(1));
  EXPECT_THAT(owners.Recover(), StatusIs(absl::StatusCode::kUnavailable, "PEER_UNAVAILABLE"));
  EXPECT_THAT(owners.Recover(), StatusIs(absl::StatusCode::kUnavailable, "PEER_UNAVAILABLE"));
  EXPECT_EQ(owners.StateOf(ada), kDeleting);
  owners.peer.OnRelease(Agree());
  EXPECT_THAT(owners.Recover(), IsOk());
  EXPECT_EQ(owners.StateOf(ada), kAbsent);
}

// The peer answers ABORTED if the head that was sent is too old for its fence. The same head would fail again.
TEST_P(Deletions, ReadsTheHeadAgainForEachAttempt) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  owners.peer.OnRelease([&](const ReleaseRequest&) -> absl::StatusOr<ReleaseAnswer> {
    if (owners.peer.releases().size() == 3) return kYes;
    owners.Create();
    owners.ReadFeed(0);
    return errors::Conflict();
  });
  EXPECT_THAT(owners.Delete(ada), InState(DeletionState::kReclaiming));
  const auto releases = owners.peer.releases();
  ASSERT_THAT(releases, SizeIs(3));
  EXPECT_EQ(releases[0].as_of_sequence, Sequence{0}) << "nothing was numbered yet";
  EXPECT_EQ(releases[1].as_of_sequence, Sequence{2});
  EXPECT_EQ(releases[2].as_of_sequence, Sequence{3});
  EXPECT_EQ(releases[0].deletion_id, releases[2].deletion_id);
}

TEST_P(Deletions, AbortedForeverIsNoDecision) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  owners.peer.OnRelease(AfterPreflight(errors::Conflict()));
  EXPECT_THAT(owners.Delete(ada, Action::kRestrict), StatusIs(absl::StatusCode::kUnavailable, "PEER_UNAVAILABLE"));
  EXPECT_THAT(owners.Deletions(ada), ElementsAre(DeletionState::kIntent));
  EXPECT_THAT(owners.peer.releases(), SizeIs(1 + limits::kConsistencyRounds));
}

// In the other order, a release could pass the peer's fence although its deletion was decided before the head was read.
TEST_P(Deletions, ReadsTheHeadBeforeItConfirmsTheIntent) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  owners.peer.OnRelease(Agree());
  // Another driver decides the deletion after the head was read, and before the intent is confirmed.
  bool decided = false;
  owners.After("owner_deletions.insert", [&] {
    owners.After("feed.info", [&] {
      owners.Advance(absl::Minutes(1));
      EXPECT_THAT(owners.Recover(), IsOk());
      decided = true;
    });
  });
  EXPECT_THAT(owners.Delete(ada), InState(DeletionState::kReclaiming));
  EXPECT_TRUE(decided);
  EXPECT_THAT(owners.peer.releases(), SizeIs(1)) << "it finds the deletion decided and sends nothing";
  EXPECT_THAT(DeletedEvents(owners), SizeIs(1));
}

TEST_P(Deletions, ChecksTheVersion) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  owners.peer.OnRelease(Agree());
  relation::DeleteRequest request;
  request.id = RowId{ada};
  request.version = 2;
  EXPECT_THAT(owners.Delete(request), StatusIs(absl::StatusCode::kAborted, "ETAG_MISMATCH"));
  EXPECT_THAT(owners.Deletions(ada), IsEmpty());
  EXPECT_THAT(owners.peer.releases(), IsEmpty());
  request.version = 1;
  EXPECT_THAT(owners.Delete(request), InState(DeletionState::kReclaiming));
}

TEST_P(Deletions, ChecksTheVersionAgainUnderTheLock) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  owners.peer.OnRelease([&](const ReleaseRequest&) {
    owners.Run("UPDATE owners SET version = 2");
    return kYes;
  });
  relation::DeleteRequest request;
  request.id = RowId{ada};
  request.action = Action::kRestrict;
  request.version = 1;
  EXPECT_THAT(owners.Delete(request), StatusIs(absl::StatusCode::kAborted, "ETAG_MISMATCH"));
  EXPECT_EQ(owners.StateOf(ada), kActive);
  EXPECT_THAT(owners.Deletions(ada), IsEmpty());
}

TEST_P(Deletions, OfAMissingRow) {
  OwnerService owners(GetParam());
  EXPECT_THAT(owners.Delete(99), StatusIs(absl::StatusCode::kNotFound, "OWNER_NOT_FOUND"));
  relation::DeleteRequest request;
  request.id = RowId{99};
  request.allow_missing = true;
  auto answer = owners.Delete(request);
  ASSERT_THAT(answer, IsOk());
  EXPECT_FALSE(answer->has_value());
  EXPECT_THAT(owners.Latest(99), StatusIs(absl::StatusCode::kNotFound, "DELETION_NOT_FOUND"));

  request.id = RowId{owners.Create()};
  ASSERT_THAT(owners.Delete(request), InState(DeletionState::kPending));
  const DeletionId deletion_id = owners.Latest(Value(request.id))->deletion_id;
  EXPECT_THAT(owners.Delete(request), InState(DeletionState::kPending));
  ASSERT_THAT(owners.ConsumeReclaimed(deletion_id, 0), IsOk());
  EXPECT_THAT(owners.Delete(request), InState(DeletionState::kCompleted));
  request.allow_missing = false;
  EXPECT_THAT(owners.Delete(request), StatusIs(absl::StatusCode::kNotFound, "OWNER_NOT_FOUND"));
}

TEST_P(Deletions, ThatOnlyValidateStoreNothing) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  relation::DeleteRequest request;
  request.id = RowId{ada};
  request.validate_only = true;
  EXPECT_THAT(owners.Delete(request), StatusIs(absl::StatusCode::kUnavailable, "PEER_UNAVAILABLE"));
  owners.peer.OnRelease([](const ReleaseRequest& release) {
    EXPECT_TRUE(release.validate_only);
    return ReleaseAnswer{true, {{kItemOwner, 4, false}}};
  });
  const auto preview = owners.Delete(request);
  ASSERT_THAT(preview, InState(DeletionState::kNone));
  EXPECT_EQ((*preview)->rows, (std::map<std::string, int64_t>{{kItemOwner, 4}}));
  request.action = Action::kRestrict;
  owners.peer.OnRelease(Refuse());
  EXPECT_THAT(owners.Delete(request), StatusIs(absl::StatusCode::kFailedPrecondition, "RESTRICTED"));
  EXPECT_EQ(owners.StateOf(ada), kActive);
  EXPECT_THAT(owners.Deletions(ada), IsEmpty());
  EXPECT_THAT(DeletedEvents(owners), IsEmpty());

  // A deletion that is under way is only shown: nobody is asked to release.
  owners.peer.OnRelease(AfterPreflight(Away()));
  ASSERT_FALSE(owners.Delete(ada, Action::kRestrict).ok());
  const size_t asked = owners.peer.releases().size();
  EXPECT_THAT(owners.Delete(request), InState(DeletionState::kIntent));
  EXPECT_THAT(owners.peer.releases(), SizeIs(asked));
}

TEST_P(Deletions, OnlyTheFirstReportCompletes) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  owners.peer.OnRelease(Agree());
  ASSERT_THAT(owners.Delete(ada), IsOk());
  const DeletionId deletion_id = owners.Latest(ada)->deletion_id;
  ASSERT_THAT(owners.ConsumeReclaimed(deletion_id, 5), IsOk());
  EXPECT_EQ(owners.Latest(ada)->state, DeletionState::kCompleted);
  EXPECT_EQ(owners.Latest(ada)->rows.at(kItemOwner), 5);
  const auto complete_time = owners.Latest(ada)->complete_time;
  EXPECT_TRUE(complete_time.has_value());
  owners.Advance(absl::Minutes(1));
  ASSERT_THAT(owners.ConsumeReclaimed(deletion_id, 0), IsOk());
  EXPECT_EQ(owners.Latest(ada)->rows.at(kItemOwner), 5);
  EXPECT_EQ(owners.Latest(ada)->complete_time, complete_time);
  EXPECT_THAT(owners.ConsumeReclaimed(DeletionId{Value(deletion_id) + 100}, 1), IsOk());
}

// The deletion that it reports is lost, and its id was given again.
TEST_P(Deletions, AReportAboutAnotherIncarnationChangesNothing) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  owners.peer.OnRelease(Agree());
  ASSERT_THAT(owners.Delete(ada), IsOk());
  const DeletionId deletion_id = owners.Latest(ada)->deletion_id;
  EXPECT_THAT(owners.ConsumeReclaimed(deletion_id, 5, "uid-another"), IsOk());
  EXPECT_EQ(owners.Latest(ada)->state, DeletionState::kReclaiming);
  EXPECT_THAT(owners.ConsumeReclaimed(deletion_id, 5), IsOk());
  EXPECT_EQ(owners.Latest(ada)->state, DeletionState::kCompleted);
}

TEST_P(Deletions, AReportAboutAnUndecidedOrRefusedOneChangesNothing) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  owners.peer.OnRelease(AfterPreflight(Away()));
  ASSERT_FALSE(owners.Delete(ada, Action::kRestrict).ok());
  const DeletionId deletion_id = owners.Latest(ada)->deletion_id;
  ASSERT_THAT(owners.ConsumeReclaimed(deletion_id, 5), IsOk());
  EXPECT_THAT(owners.Deletions(ada), ElementsAre(DeletionState::kIntent));
  owners.peer.OnRelease(Refuse());
  owners.Advance(absl::Minutes(1));
  ASSERT_THAT(owners.Recover(), IsOk());
  ASSERT_THAT(owners.ConsumeReclaimed(deletion_id, 5), IsOk());
  EXPECT_THAT(owners.Deletions(ada), ElementsAre(DeletionState::kRefused));
}

TEST_P(Deletions, OldRecordsArePurgedUnfinishedOnesKept) {
  OwnerService owners(GetParam());
  const int64_t refused = owners.Create();
  const int64_t undecided = owners.Create();
  const int64_t pending = owners.Create();
  const int64_t completed = owners.Create();
  const int64_t recent = owners.Create();
  owners.peer.OnRelease(AfterPreflight(kNo));
  ASSERT_FALSE(owners.Delete(refused, Action::kRestrict).ok());
  owners.peer.OnRelease(AfterPreflight(Away()));
  ASSERT_FALSE(owners.Delete(undecided, Action::kRestrict).ok());
  ASSERT_THAT(owners.Delete(pending), InState(DeletionState::kPending));
  ASSERT_THAT(owners.Delete(completed), InState(DeletionState::kPending));
  ASSERT_THAT(owners.Delete(recent), InState(DeletionState::kPending));
  ASSERT_THAT(owners.ConsumeReclaimed(owners.Latest(completed)->deletion_id, 0), IsOk());
  owners.Advance(limits::kDeletionRecordRetention - absl::Seconds(1));
  ASSERT_THAT(owners.Purge(), IsOk());
  EXPECT_THAT(owners.Deletions(completed), SizeIs(1));

  // The age of a record counts from the end of its deletion, not from the beginning.
  ASSERT_THAT(owners.ConsumeReclaimed(owners.Latest(recent)->deletion_id, 0), IsOk());
  const DeletionId last = owners.Latest(recent)->deletion_id;
  owners.Advance(absl::Seconds(2));
  ASSERT_THAT(owners.Purge(), IsOk());
  EXPECT_THAT(owners.Deletions(refused), IsEmpty());
  EXPECT_THAT(owners.Deletions(completed), IsEmpty());
  EXPECT_THAT(owners.Deletions(undecided), ElementsAre(DeletionState::kIntent));
  EXPECT_THAT(owners.Deletions(pending), ElementsAre(DeletionState::kPending));
  EXPECT_THAT(owners.Deletions(recent), ElementsAre(DeletionState::kCompleted));

  owners.Advance(limits::kDeletionRecordRetention + absl::Seconds(1));
  ASSERT_THAT(owners.Purge(), IsOk());
  const int64_t next = owners.Create();
  ASSERT_THAT(owners.Delete(next), IsOk());
  EXPECT_GT(owners.Latest(next)->deletion_id, last) << "a number is never used again";
}

TEST_P(Deletions, NoSessionIsHeldWhileThePeerIsAsked) {
  OwnerService owners(GetParam(), {kItemOwner}, 1);
  const int64_t ada = owners.Create();
  owners.peer.OnRelease([&](const ReleaseRequest&) {
    EXPECT_GT(owners.Create(), ada);
    return kYes;
  });
  EXPECT_THAT(owners.Delete(ada, Action::kRestrict), InState(DeletionState::kReclaiming));
}

TEST_P(Deletions, LookupReadsTheHeadBeforeTheRows) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  owners.ReadFeed(0);
  owners.After("feed.info", [&] {
    ASSERT_THAT(owners.Delete(ada), InState(DeletionState::kPending));
    owners.ReadFeed(0);
  });
  const auto answer = owners.Lookup({ada});
  ASSERT_THAT(answer, IsOk());
  EXPECT_THAT(answer->found, IsEmpty());
  EXPECT_EQ(answer->as_of_sequence, Sequence{1});
  EXPECT_EQ(owners.Head(), 2);
}

}  // namespace
}  // namespace crosskey::testing
