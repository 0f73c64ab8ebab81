// Deletions of the same row at the same time: one joins the other, leaves it alone or comes too late, and there is
// always only one decision about the row.
#include <future>

#include "tests/conformance/relation_deletions.h"

namespace crosskey::testing {
namespace {

using relation::Action;
using relation::DeletionState;
using relation::ReleaseAnswer;
using relation::ReleaseRequest;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ConcurrentDeletions : public DeletionTest {};
CROSSKEY_ON_EVERY_DATABASE(ConcurrentDeletions);

TEST_P(ConcurrentDeletions, OneWithTheSameActionIsJoined) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  owners.peer.OnRelease(AfterPreflight(Away()));
  ASSERT_FALSE(owners.Delete(ada, Action::kRestrict).ok());
  owners.peer.OnRelease(Agree());
  const auto joined = owners.Delete(ada, Action::kRestrict);
  ASSERT_THAT(joined, InState(DeletionState::kReclaiming));
  EXPECT_THAT(owners.Deletions(ada), ElementsAre(DeletionState::kReclaiming));
  EXPECT_EQ(owners.peer.releases().back().deletion_id, (*joined)->deletion_id);
  // Later calls with the same action find the deletion under way, calls with another action find no row.
  EXPECT_THAT(owners.Delete(ada, Action::kRestrict), InState(DeletionState::kReclaiming));
  EXPECT_THAT(owners.Delete(ada, Action::kCascade), StatusIs(absl::StatusCode::kNotFound, "OWNER_NOT_FOUND"));
}

TEST_P(ConcurrentDeletions, OneWithAnotherActionIsLeftAlone) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  owners.peer.OnRelease(AfterPreflight(Away()));
  ASSERT_FALSE(owners.Delete(ada, Action::kRestrict).ok());
  owners.peer.OnRelease(Agree());
  const size_t asked = owners.peer.releases().size();
  EXPECT_THAT(owners.Delete(ada, Action::kCascade), StatusIs(absl::StatusCode::kAborted, "PARENT_DELETING"));
  EXPECT_THAT(owners.Deletions(ada), ElementsAre(DeletionState::kIntent));
  EXPECT_THAT(owners.peer.releases(), SizeIs(asked));
}

TEST_P(ConcurrentDeletions, AfterAJoinedOneWasRefusedAnOwnOneIsTried) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  owners.peer.OnRelease(AfterPreflight(Away()));
  ASSERT_FALSE(owners.Delete(ada, Action::kRestrict).ok());
  const DeletionId first = owners.Latest(ada)->deletion_id;
  // The old deletion is refused, but by now nothing refers to the owner any more.
  owners.peer.OnRelease([&](const ReleaseRequest& request) {
    return request.deletion_id == first ? ReleaseAnswer{false, {}} : kYes;
  });
  const auto own = owners.Delete(ada, Action::kRestrict);
  ASSERT_THAT(own, InState(DeletionState::kReclaiming));
  EXPECT_GT((*own)->deletion_id, first);
  EXPECT_THAT(owners.Deletions(ada), ElementsAre(DeletionState::kRefused, DeletionState::kReclaiming));
}

TEST_P(ConcurrentDeletions, TwoWithDifferentActionsEndInOne) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  // While the CASCADE waits for its release, a RESTRICT comes.
  owners.peer.OnRelease([&](const ReleaseRequest&) {
    const auto other = std::async(std::launch::async, [&] { return owners.Delete(ada, Action::kRestrict); }).get();
    EXPECT_THAT(other, StatusIs(absl::StatusCode::kAborted, "PARENT_DELETING"));
    return kYes;
  });
  EXPECT_THAT(owners.Delete(ada, Action::kCascade), InState(DeletionState::kReclaiming));
  EXPECT_THAT(owners.Deletions(ada), ElementsAre(DeletionState::kReclaiming));
  EXPECT_THAT(DeletedEvents(owners), SizeIs(1));
}

// Both find the row ACTIVE. The row's lock lets one of them begin: here the CASCADE, during the RESTRICT's preflight.
TEST_P(ConcurrentDeletions, OfTwoThatBeginAtOnceOneFindsTheOthersIntent) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  bool began = false;
  owners.peer.OnRelease([&](const ReleaseRequest& request) -> absl::StatusOr<ReleaseAnswer> {
    if (!request.validate_only) return kYes;
    if (!began) {
      began = true;
      EXPECT_THAT(owners.Delete(ada, Action::kCascade), InState(DeletionState::kReclaiming));
    }
    return kYes;
  });
  EXPECT_THAT(owners.Delete(ada, Action::kRestrict), StatusIs(absl::StatusCode::kNotFound, "OWNER_NOT_FOUND"));
  EXPECT_THAT(owners.Deletions(ada), ElementsAre(DeletionState::kReclaiming));
}

TEST_P(ConcurrentDeletions, OfTwoThatBeginAtOnceOneJoinsTheOthersIntent) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  bool began = false;
  owners.peer.OnRelease([&](const ReleaseRequest& request) -> absl::StatusOr<ReleaseAnswer> {
    if (!request.validate_only) return Away();
    if (!began) {
      began = true;
      EXPECT_FALSE(owners.Delete(ada, Action::kRestrict).ok());
      owners.peer.OnRelease(Agree());
    }
    return kYes;
  });
  EXPECT_THAT(owners.Delete(ada, Action::kRestrict), InState(DeletionState::kReclaiming));
  EXPECT_THAT(owners.Deletions(ada), ElementsAre(DeletionState::kReclaiming));
}

TEST_P(ConcurrentDeletions, AnAnswerThatComesAfterTheDecisionChangesNothing) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  bool first = true;
  owners.peer.OnRelease([&](const ReleaseRequest& request) -> absl::StatusOr<ReleaseAnswer> {
    if (request.validate_only || !first) return request.validate_only ? kYes : kNo;
    first = false;
    owners.Advance(absl::Minutes(1));
    EXPECT_THAT(owners.Recover(), IsOk());  // refused
    EXPECT_EQ(owners.StateOf(ada), kActive);
    return kYes;  // no peer says that after a refusal, but even then the decision stands
  });
  EXPECT_FALSE(owners.Delete(ada, Action::kRestrict).ok());
  EXPECT_EQ(owners.StateOf(ada), kActive);
  EXPECT_THAT(DeletedEvents(owners), IsEmpty());
  for (const DeletionState state : owners.Deletions(ada)) EXPECT_EQ(state, DeletionState::kRefused);
}

TEST_P(ConcurrentDeletions, ARefusalThatComesAfterTheDropChangesNothing) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  bool first = true;
  owners.peer.OnRelease([&](const ReleaseRequest&) -> absl::StatusOr<ReleaseAnswer> {
    if (!first) return kYes;
    first = false;
    owners.Advance(absl::Minutes(1));
    EXPECT_THAT(owners.Recover(), IsOk());
    return kNo;
  });
  EXPECT_THAT(owners.Delete(ada), InState(DeletionState::kReclaiming));
  EXPECT_EQ(owners.StateOf(ada), kAbsent);
  EXPECT_THAT(DeletedEvents(owners), SizeIs(1));
}

TEST_P(ConcurrentDeletions, ARefusalSaysWhatRefusedEvenIfAnotherDriverHeardItFirst) {
  OwnerService owners(GetParam());
  const int64_t ada = owners.Create();
  bool first = true;
  owners.peer.OnRelease([&](const ReleaseRequest& request) -> absl::StatusOr<ReleaseAnswer> {
    if (request.validate_only) return first ? kYes : kNo;
    if (!first) return kNo;
    first = false;
    owners.Advance(absl::Minutes(1));
    EXPECT_THAT(owners.Recover(), IsOk());
    return errors::Conflict();
  });
  const auto answer = owners.Delete(ada, Action::kRestrict);
  EXPECT_THAT(answer, StatusIs(absl::StatusCode::kFailedPrecondition, "RESTRICTED"));
  EXPECT_THAT(std::string(answer.status().message()), ::testing::HasSubstr(kItemOwner));
}

}  // namespace
}  // namespace crosskey::testing
