// Lookups that wait become one call to the other service, and each attempt gets its own part of the answer.
#include <mutex>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "common/relation/rpc/shared_lookups_rpc.h"
#include "common/status/limits.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr char kType[] = "user.v1.User";

std::vector<RowId> Ids(int64_t first, int64_t count) {
  std::vector<RowId> ids;
  for (int64_t id = first; id < first + count; ++id) ids.push_back(RowId{id});
  return ids;
}

// Knows every row. Its first calls, as many as are `held`, last until `go`.
class SlowPeer final : public relation::Peer {
 public:
  absl::StatusOr<relation::LookupAnswer> Lookup(const Call& call, const std::string&,
                                                const std::vector<RowId>& ids) override {
    bool is_held = false;
    {
      std::lock_guard lock(mutex_);
      is_held = asked_.size() < held;
      asked_.push_back(ids);
      deadlines_.push_back(call.deadline);
    }
    EXPECT_EQ(call.attempt, nullptr);
    if (is_held) go.WaitForNotification();
    if (!error.ok()) return error;
    relation::LookupAnswer answer;
    answer.as_of_sequence = Sequence{7};
    for (const RowId id : ids) answer.found.push_back({{id, "uid"}, false});
    return answer;
  }
  absl::StatusOr<relation::ReleaseAnswer> Release(const Call&, const relation::ReleaseRequest&) override {
    return absl::UnimplementedError("not asked here");
  }

  std::vector<std::vector<RowId>> asked() {
    std::lock_guard lock(mutex_);
    return asked_;
  }
  std::vector<absl::Time> deadlines() {
    std::lock_guard lock(mutex_);
    return deadlines_;
  }

  std::atomic<size_t> held = 1;
  absl::Notification go;
  absl::Status error;

 private:
  std::mutex mutex_;
  std::vector<std::vector<RowId>> asked_;
  std::vector<absl::Time> deadlines_;
};

// A call that is attempted until it knows the rows.
struct Caller {
  explicit Caller(std::vector<RowId> ids) : wanted(std::move(ids)) {
    call.deadline = absl::Now() + absl::Minutes(1);
    call.cancelled = [this] { return cancelled.load(); };
    call.attempt = &attempt;
  }

  // Ends at once, with NeedsPeer or with the answer.
  absl::StatusOr<relation::LookupAnswer> Try(relation::Peer& lookups) { return lookups.Lookup(call, kType, wanted); }

  void Ask(relation::Peer& lookups) {
    EXPECT_TRUE(IsNeedsPeer(Try(lookups).status()));
    const auto ask = std::move(attempt.ask);
    ask([this] { told.Notify(); });
  }

  const std::vector<RowId> wanted;
  std::atomic<bool> cancelled = false;
  Attempt attempt;
  Call call;
  absl::Notification told;
};

class SharedLookupsTest : public ::testing::Test {
 protected:
  telemetry::Metrics metrics{"test", "0"};
  batch::Workers workers{6, metrics};
  SlowPeer peer;
  relation::SharedLookups lookups{peer, workers};

  ~SharedLookupsTest() override { workers.Stop(); }
};

TEST_F(SharedLookupsTest, WithoutAnAttemptItAsksAtOnce) {
  peer.go.Notify();
  EXPECT_THAT(lookups.Lookup(Call::Background(absl::Minutes(1)), kType, Ids(1, 2))->found, SizeIs(2));
  EXPECT_THAT(peer.asked(), ElementsAre(Ids(1, 2)));
}

TEST_F(SharedLookupsTest, ThoseThatWaitShareACallAndEachGetsItsPart) {
  Caller first(Ids(1, 1)), second(Ids(2, 2)), third(Ids(3, 2)), fourth(Ids(9, 1));
  first.Ask(lookups);
  ASSERT_TRUE(WaitFor([&] { return peer.asked().size() == 1; }));
  third.call.deadline += absl::Seconds(1);
  // The second thread for lookups may take some of them.
  for (Caller* caller : {&second, &third, &fourth}) caller->Ask(lookups);
  for (Caller* caller : {&second, &third, &fourth}) caller->told.WaitForNotification();
  EXPECT_FALSE(first.told.HasBeenNotified());
  peer.go.Notify();
  first.told.WaitForNotification();
  EXPECT_LE(peer.asked().size(), 4u);
  for (Caller* caller : {&first, &second, &third, &fourth}) {
    const auto answer = caller->Try(lookups);
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->as_of_sequence, Sequence{7});
    std::vector<RowId> found;
    for (const auto& each : answer->found) found.push_back(each.row.id);
    EXPECT_EQ(found, caller->wanted);
  }
}

TEST_F(SharedLookupsTest, AMissingAnswerIsToldToAllAndNotAskedForAgainAndAgain) {
  peer.error = errors::PeerUnavailable("user-service");
  // Both threads for lookups are held by the first two.
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < 20; ++i) callers.push_back(std::make_unique<Caller>(Ids(1 + i * 1000, limits::kBatchIds)));
  for (const auto& caller : callers) caller->Ask(lookups);
  peer.go.Notify();
  for (const auto& caller : callers) {
    caller->told.WaitForNotification();
    EXPECT_EQ(caller->Try(lookups).status(), peer.error);
  }
  // No batch has more than one call that failed.
  EXPECT_LT(peer.asked().size(), 20u);
}

// Its own short time would end the call of the first part, and with it the second part, which had more.
TEST_F(SharedLookupsTest, EachCallOfABatchHasTheTimeOfTheWholeBatch) {
  Caller first(Ids(1, 1)), second(Ids(2, 1)), in_short(Ids(1, limits::kBatchIds)), in_long(Ids(2001, 1));
  peer.held = 2;  // both threads for lookups
  first.Ask(lookups);
  ASSERT_TRUE(WaitFor([&] { return peer.asked().size() == 1; }));
  second.Ask(lookups);
  ASSERT_TRUE(WaitFor([&] { return peer.asked().size() == 2; }));
  in_long.call.deadline += absl::Minutes(1);
  for (Caller* caller : {&in_short, &in_long}) caller->Ask(lookups);
  peer.go.Notify();
  for (Caller* caller : {&in_short, &in_long}) caller->told.WaitForNotification();
  for (Caller* caller : {&first, &second}) caller->told.WaitForNotification();
  ASSERT_THAT(peer.asked(), ElementsAre(Ids(1, 1), Ids(2, 1), in_short.wanted, in_long.wanted));
  EXPECT_EQ(peer.deadlines()[2], in_long.call.deadline);
  EXPECT_EQ(peer.deadlines()[3], in_long.call.deadline);
}

TEST_F(SharedLookupsTest, ACancelledCallIsNotAskedFor) {
  Caller first(Ids(1, 1)), second(Ids(2, 1));
  peer.go.Notify();
  first.Ask(lookups);
  first.told.WaitForNotification();
  EXPECT_TRUE(IsNeedsPeer(second.Try(lookups).status()));
  second.cancelled = true;
  const auto ask = std::move(second.attempt.ask);
  ask([&] { second.told.Notify(); });
  second.told.WaitForNotification();
  EXPECT_TRUE(absl::IsCancelled(second.Try(lookups).status()));
  EXPECT_THAT(peer.asked(), ElementsAre(Ids(1, 1)));
}

// An answer is used once, so one that was overtaken by a deletion is asked for again; but not for ever.
TEST_F(SharedLookupsTest, ACallAsksABoundedNumberOfTimes) {
  peer.go.Notify();
  Caller caller(Ids(1, 1));
  for (int i = 0; i < limits::kConsistencyRounds; ++i) {
    ASSERT_TRUE(IsNeedsPeer(caller.Try(lookups).status())) << i;
    absl::Notification told;
    const auto ask = std::move(caller.attempt.ask);
    ask([&] { told.Notify(); });
    told.WaitForNotification();
    EXPECT_TRUE(caller.Try(lookups).ok());
  }
  EXPECT_TRUE(errors::Is(caller.Try(lookups).status(), errors::Reason::kConflict));
  EXPECT_THAT(peer.asked(), SizeIs(limits::kConsistencyRounds));
}

TEST_F(SharedLookupsTest, AnAnswerToAnotherQuestionIsNoAnswer) {
  peer.go.Notify();
  Caller caller(Ids(1, 1));
  caller.Ask(lookups);
  caller.told.WaitForNotification();
  EXPECT_TRUE(IsNeedsPeer(lookups.Lookup(caller.call, kType, Ids(2, 1)).status()));
  EXPECT_TRUE(IsNeedsPeer(caller.Try(lookups).status()));
}

}  // namespace
}  // namespace crosskey::testing
