// Repairs of what is no plain loss: hidden rows, forged releases, repairs that fail or meet.
#include <atomic>
#include <cstdio>
#include <fstream>
#include <thread>

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/fault/points.h"
#include "common/status/limits.h"
#include "relation/v1/reference_service.grpc.pb.h"
#include "tests/integration/restored_pair.h"
#include "tests/support/internal_channel.h"

namespace crosskey::testing {
namespace {

using grpc::StatusCode;
using relation::Repair;

class RepairTest : public RestoredPair {};
CROSSKEY_ON_EVERY_DATABASE(RepairTest);

// A row that is hidden by a deletion under way is there until its own deletion is published.
TEST_P(RepairTest, AHiddenPostIsNotLost) {
  user::v1::UpdateUserRequest pin;
  pin.mutable_user()->set_id(ada_);
  pin.mutable_user()->set_pinned_post_id(of_bob_);
  user::v1::UpdateUserResponse pinned;
  EXPECT_THAT(Invoke(pair_.users(), &user::v1::UserService::Stub::UpdateUser, pin, &pinned), GrpcOk());
  pair_.StopPosts();
  pair_.hold_reclaim = true;
  pair_.StartPosts();
  pair_.Delete(bob_);
  ASSERT_TRUE(WaitFor([&] { return pair_.post_db().Number("SELECT state FROM user_refs WHERE id = 2") == 3; }));
  EXPECT_TRUE(CheckOf(Users()).is_clean());
  EXPECT_EQ(RepairOf(Users()).given_up, 0);
  pair_.hold_reclaim = false;
  ExpectSound();
}

// There may be any number of them: their events were not consumed for days.
TEST_P(RepairTest, OpenDeletionsAreTakenOverByPages) {
  constexpr int kMany = 1200;
  std::string rows;
  for (int i = 0; i < kMany; ++i) {
    absl::StrAppendFormat(&rows, "%s(%d, '00000000-0000-4000-8000-%012d', 2, 4, '', 1)", i == 0 ? "" : ", ", 1000 + i,
                          i);
  }
  pair_.user_db().Run("INSERT INTO user_deletions (user_id, uid, action, state, blocked_reason, create_time) VALUES " +
                      rows);
  pair_.user_db().RaiseCounter("users", 1000 + kMany);
  EXPECT_EQ(RepairOf(Posts()).taken_over, kMany);
  EXPECT_TRUE(
      WaitFor([&] { return pair_.user_db().Number("SELECT COUNT(*) FROM user_deletions WHERE state = 4") == 0; }));
  ExpectSound();
}

// Its event is not skipped, and takes effect by itself.
TEST_P(RepairTest, ADeletionBehindTheHeadIsNotTakenOver) {
  const auto open = [&](int64_t head) {
    const auto page =
        Posts().repairs.ListOpen(Call::Background(absl::Seconds(30)), "user.v1.User", DeletionId{}, Sequence{head});
    EXPECT_THAT(page, IsOk());
    return page.ok() ? page->deletions.size() : 0;
  };
  pair_.StopPosts();
  pair_.hold_post_consumer = true;
  pair_.StartPosts();
  pair_.Delete(ada_);
  const auto number = [&] {
    return pair_.user_db().Number("SELECT COALESCE(MAX(sequence), 0) FROM outbox WHERE type = 'user.v1.UserDeleted'");
  };
  ASSERT_TRUE(WaitFor([&] { return number() > 0; }));
  EXPECT_EQ(open(number() - 1), 0u);
  EXPECT_EQ(open(number()), 1u);
  pair_.user_db().Run("UPDATE outbox SET sequence = NULL WHERE type = 'user.v1.UserDeleted'");
  EXPECT_EQ(open(number()), 0u);
}

class ForgedRelease : public RestoredPair {
 protected:
  bool Release(int64_t deletion_id, ::relation::v1::ReferentialAction action) {
    const auto channel =
        OpenInternalChannel(pair_.post_internal_port(), pair_.user_db(), pair_.post_db(), /*from_users=*/true);
    ::relation::v1::ReleaseReferencedRequest request;
    request.set_type("user.v1.User");
    request.set_id(ada_);
    request.set_uid(pair_.user_db().Query("SELECT uid FROM users WHERE id = " + std::to_string(ada_))[0][0]);
    request.set_deletion_id(deletion_id);
    request.set_as_of_sequence(1000);
    request.set_feed_id(pair_.user_db().Query("SELECT feed_id FROM feed")[0][0]);
    auto* item = request.add_overrides();
    item->set_relationship("post.v1.Post.user_id");
    item->set_action(action);
    ::relation::v1::ReleaseReferencedResponse response;
    EXPECT_THAT(
        ::relation::v1::ReferenceService::NewStub(channel)->ReleaseReferenced(Context().get(), request, &response),
        GrpcOk());
    return response.released();
  }
};
CROSSKEY_ON_EVERY_DATABASE(ForgedRelease);

// As one that a restored user-service has lost, and whose id it gives again.
TEST_P(ForgedRelease, ARefusalIsForgottenByARepair) {
  EXPECT_FALSE(Release(1000, ::relation::v1::REFERENTIAL_ACTION_RESTRICT));
  EXPECT_EQ(pair_.post_db().Number("SELECT MAX(refused_through) FROM user_refs"), 1000);
  RepairOf(Posts());
  EXPECT_EQ(pair_.post_db().Number("SELECT MAX(refused_through) FROM user_refs"), 0);
  pair_.Delete(ada_);
  pair_.AwaitState(ada_, user::v1::DELETION_STATE_COMPLETED);
  EXPECT_LT(pair_.GetDeletion(ada_).deletion_id(), 1000);
  ExpectSound();
}

// Deletions could not have ids any more.
TEST_P(ForgedRelease, AnIdThatWasNeverGivenDoesNotRaiseTheCounter) {
  EXPECT_TRUE(Release(limits::kLargestId, ::relation::v1::REFERENTIAL_ACTION_CASCADE));
  EXPECT_THAT(pair_.TryGetPost(post_), GrpcError(StatusCode::NOT_FOUND, "POST_NOT_FOUND"));
  EXPECT_EQ(RepairOf(Posts()).returned, 1);
  EXPECT_THAT(pair_.TryGetPost(post_), GrpcOk());
  pair_.Delete(ada_);
  pair_.AwaitState(ada_, user::v1::DELETION_STATE_COMPLETED);
  EXPECT_LT(pair_.GetDeletion(ada_).deletion_id(), 1000);
  ExpectSound();
}

// On SQLite a transaction that waits at its COMMIT keeps all others out.
class RepairOnServer : public RestoredPair {};
CROSSKEY_ON_EVERY_SERVER(RepairOnServer);

// A repair that is overtaken by another one changes nothing any more.
TEST_P(RepairOnServer, OfTwoRepairsTheLaterOneCounts) {
  const std::string go_on = absl::StrCat(::testing::TempDir(), "crosskey_go_on_", getpid());
  std::remove(go_on.c_str());
  SetFault("repair.point.after_commit=wait:" + go_on + "@1");
  const std::string feed_id = pair_.user_db().Query("SELECT feed_id FROM feed")[0][0];
  absl::StatusOr<Repair::Done> overtaken = absl::UnknownError("it has not ended");
  std::thread first([&] { overtaken = Repair(Posts()).Run(); });
  EXPECT_TRUE(WaitFor([&] { return pair_.user_db().Query("SELECT feed_id FROM feed")[0][0] != feed_id; }));
  RepairOf(Posts());
  std::ofstream(go_on).close();
  first.join();
  std::remove(go_on.c_str());
  EXPECT_FALSE(overtaken.ok());
  EXPECT_EQ(pair_.post_db().Number("SELECT MAX(state) FROM histories"), 1);
  ExpectSound();
}

// The answer is of before the restore, and its write goes on while the list is on its way: the page that it would have
// to be on has been read, and the owner's answer to that page is not there yet.
TEST_P(RepairTest, AnAnswerOfBeforeAddsNothingBehindTheList) {
  const std::string file = absl::StrCat(::testing::TempDir(), "crosskey_behind_", getpid());
  const std::string answered = file + "_answered", examined = file + "_examined";
  pair_.StopPosts();
  pair_.hold_post_consumer = true;  // so that post-service has to ask
  pair_.StartPosts();
  const std::string backup = pair_.user_db().Backup();
  const int64_t carl = pair_.CreateUser("carl");
  ClearFaults();
  SetFault("lookup.answered=wait:" + answered + "@1");
  grpc::Status written;
  std::thread writer([&] { written = pair_.TryCreatePost(carl); });
  EXPECT_TRUE(WaitFor([] { return TimesReached("lookup.answered") == 1; }));
  RestoreUsers(backup);
  ClearFaults();
  SetFault("lookup.received=wait:" + examined + "@1");
  absl::StatusOr<Repair::Done> done = absl::UnknownError("it has not ended");
  std::thread repair([&] { done = Repair(Posts()).Run(); });
  EXPECT_TRUE(WaitFor([] { return TimesReached("lookup.received") == 1; }));
  std::ofstream(answered).close();
  writer.join();
  std::ofstream(examined).close();
  repair.join();
  std::remove(answered.c_str());
  std::remove(examined.c_str());
  EXPECT_THAT(written, GrpcError(StatusCode::FAILED_PRECONDITION, "FOREIGN_KEY_VIOLATION"));
  EXPECT_THAT(done, IsOk());
  pair_.hold_post_consumer = false;
  ExpectSound();
}

// A repair that ends at any point is repeated, while clients go on.
TEST_P(RepairTest, ARepairThatEndsAtAnyPointIsRepeated) {
  std::atomic<bool> stop = false;
  bool before = false;
  for (const char* transaction : fault::kRepairTransactions) {
    before = !before;
    for (const char* when : {".before_commit", ".after_commit"}) {
      // A server takes its time for each copy, so each transaction has one of its points there.
      if (!pair_.user_db().is_sqlite() && before != (std::string(when) == ".before_commit")) continue;
      const std::string point = absl::StrCat(transaction, when);
      const int64_t carl = pair_.CreateUser(absl::StrCat("carl ", point));
      pair_.CreatePost(carl);
      pair_.AwaitQuiet();
      const std::string earlier = pair_.user_db().Backup();
      const int64_t dora = pair_.CreateUser(absl::StrCat("dora ", point));
      pair_.CreatePost(dora);
      pair_.Delete(carl);
      pair_.AwaitState(carl, user::v1::DELETION_STATE_COMPLETED);
      pair_.AwaitQuiet();
      RestoreUsers(earlier);
      stop = false;
      std::thread clients([&] {
        for (int i = 0; !stop; ++i) {
          pair_.TryCreatePost(ada_);
          TryCreateUser(absl::StrCat(point, " ", i));
          pair_.TryDelete(ada_ + 1000 + i, ::relation::v1::REFERENTIAL_ACTION_CASCADE);
        }
      });
      SetFault(absl::StrCat(point, "=fail@1"));
      const auto first = Repair(Posts()).Run();
      // Nobody can subscribe from there, not even a process that does not know of repairs.
      if (point == "repair.list.before_commit") {
        EXPECT_EQ(pair_.post_db().Number("SELECT last_sequence FROM checkpoints"), -1);
      }
      ClearFaults();
      const auto second = Repair(Posts()).Run();
      EXPECT_THAT(second, IsOk()) << point << " after " << first.status();
      stop = true;
      clients.join();
      EXPECT_TRUE(WaitFor([&] { return CheckOf(Posts()).is_clean() && CheckOf(Users()).is_clean(); })) << point;
      pair_.AwaitQuiet();
      EXPECT_EQ(pair_.Orphans(), 0) << point;
    }
  }
}

}  // namespace
}  // namespace crosskey::testing
