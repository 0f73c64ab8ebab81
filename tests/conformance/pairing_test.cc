// events::Pairing: whom a service talks to.
#include "common/events/pairing.h"

#include <thread>

#include <gtest/gtest.h>

#include "common/db/migrations.h"
#include "common/events/feed.h"
#include "common/status/errors.h"
#include "tests/conformance/storage.h"
#include "tests/support/metric_of.h"
#include "tests/support/status_matchers.h"
#include "user-service/storage/schema.h"

namespace crosskey::testing {
namespace {

using errors::Reason;

const Instance kPeer{"post-service", "00000000-0000-4000-8000-000000000001"};
const Instance kOther{"post-service", "00000000-0000-4000-8000-000000000002"};
const Instance kSilent{};

// user-service's database, and processes that serve it.
class PairingTest : public DatabaseTest {
 protected:
  PairingTest() : storage_(GetParam()), feed_(storage_.database, "user-service") {
    EXPECT_THAT(db::Migrate(storage_.database, TestCall(), users::Schema()), IsOk());
  }

  std::unique_ptr<events::Pairing> Start() {
    auto pairing = std::make_unique<events::Pairing>(
        "user-service", "post-service", storage_.database, [this] { return now_; }, storage_.metrics);
    EXPECT_THAT(pairing->Load(TestCall()), IsOk());
    EXPECT_THAT(feed_.EnsureNamed(TestCall()), IsOk());
    return pairing;
  }
  // A release without identities has used the database.
  void UseByOlderRelease() { EXPECT_THAT(feed_.EnsureNamed(TestCall()), IsOk()); }

  static Reason Of(const absl::Status& status) { return errors::ReasonOf(status); }
  static absl::Status Take(events::Pairing& pairing, const Instance& caller, const Instance& callee) {
    const Parties parties{caller, callee};
    return pairing.MayTake(&parties);
  }
  double Mismatch() { return MetricOf(storage_.metrics, "crosskey_peer_mismatch", {{"peer", "post-service"}}); }

  Storage storage_;
  events::Feed feed_;
  absl::Time now_ = absl::Now();
};
CROSSKEY_ON_EVERY_DATABASE(PairingTest);

TEST_P(PairingTest, ADatabaseKeepsItsIdentity) {
  const Instance own = Start()->Outgoing().caller;
  EXPECT_EQ(own.service, "user-service");
  EXPECT_EQ(own.id.size(), 36u);
  EXPECT_EQ(Start()->Outgoing().caller.id, own.id);
}

TEST_P(PairingTest, TheFirstMeetingPairsAndIsKept) {
  const auto pairing = Start();
  EXPECT_FALSE(pairing->has_met());
  EXPECT_EQ(Of(pairing->MayCall(absl::Now())), Reason::kPeerUnavailable);
  EXPECT_THAT(pairing->Met(TestCall(), kPeer), IsOk());
  EXPECT_TRUE(pairing->has_met());
  EXPECT_THAT(pairing->MayCall(absl::Now()), IsOk());
  EXPECT_EQ(pairing->Outgoing().callee.id, kPeer.id);
  EXPECT_EQ(Start()->Outgoing().callee.id, kPeer.id);
}

TEST_P(PairingTest, AnotherOneIsRefusedAndNothingIsStored) {
  const auto pairing = Start();
  EXPECT_THAT(pairing->Met(TestCall(), kPeer), IsOk());
  for (const Instance& wrong : {kOther, Instance{"user-service", kPeer.id}, pairing->Outgoing().caller, kSilent}) {
    EXPECT_EQ(Of(pairing->Met(TestCall(), wrong)), Reason::kPeerMismatch);
    EXPECT_EQ(Of(pairing->MayCall(absl::Now())), Reason::kPeerMismatch);
    EXPECT_TRUE(pairing->is_mismatch());
    EXPECT_EQ(Mismatch(), 1);
    EXPECT_EQ(pairing->Outgoing().callee.id, kPeer.id);
  }
  EXPECT_THAT(pairing->Met(TestCall(), kPeer), IsOk());
  EXPECT_FALSE(pairing->is_mismatch());
  EXPECT_EQ(Mismatch(), 0);
  EXPECT_EQ(storage_.own.Number("SELECT COUNT(*) FROM instances"), 2);
}

// It is the one of another environment: the address is wrong from the beginning.
TEST_P(PairingTest, AServiceThatIsPairedWithAnotherIsNotPairedWith) {
  const auto pairing = Start();
  const std::string own = pairing->Outgoing().caller.id;
  EXPECT_EQ(Of(pairing->Met(TestCall(), kPeer, kOther.id)), Reason::kPeerMismatch);
  EXPECT_EQ(storage_.own.Number("SELECT COUNT(*) FROM instances"), 1);
  EXPECT_EQ(Mismatch(), 1);
  EXPECT_THAT(pairing->Met(TestCall(), kPeer, own), IsOk());
  EXPECT_EQ(Mismatch(), 0);
  // It has been given another one meanwhile.
  EXPECT_EQ(Of(pairing->Met(TestCall(), kPeer, kOther.id)), Reason::kPeerMismatch);
}

// Itself, for example.
TEST_P(PairingTest, AServiceOfAnotherNameIsNeverPairedWith) {
  const auto pairing = Start();
  EXPECT_EQ(Of(pairing->Met(TestCall(), pairing->Outgoing().caller)), Reason::kPeerMismatch);
  EXPECT_EQ(storage_.own.Number("SELECT COUNT(*) FROM instances"), 1);
  EXPECT_THAT(pairing->Met(TestCall(), kPeer), IsOk());
  EXPECT_TRUE(pairing->has_met());
}

TEST_P(PairingTest, TakesCallsOfThePeerForItselfOnly) {
  const auto pairing = Start();
  const Instance own = pairing->Outgoing().caller;
  EXPECT_THAT(Take(*pairing, kPeer, own), IsOk());  // it will be met in a moment
  EXPECT_EQ(Of(Take(*pairing, {"user-service", kPeer.id}, own)), Reason::kPeerMismatch);
  EXPECT_THAT(pairing->Met(TestCall(), kPeer), IsOk());
  EXPECT_THAT(Take(*pairing, kPeer, own), IsOk());
  EXPECT_EQ(Of(Take(*pairing, kOther, own)), Reason::kPeerMismatch);
  EXPECT_EQ(Of(Take(*pairing, {"post-service", ""}, own)), Reason::kPeerMismatch);
  EXPECT_EQ(Of(Take(*pairing, own, own)), Reason::kPeerMismatch);
  EXPECT_EQ(Of(Take(*pairing, kPeer, {"user-service", kOther.id})), Reason::kPeerMismatch);
  EXPECT_EQ(Of(Take(*pairing, kPeer, {"user-service", ""})), Reason::kPeerMismatch);
  EXPECT_EQ(Of(pairing->MayTake(nullptr)), Reason::kPeerMismatch);
  const auto refused = [&](const std::string& wrong) {
    return MetricOf(storage_.metrics, "crosskey_peer_refused_calls_total",
                    {{"peer", "post-service"}, {"wrong", wrong}});
  };
  EXPECT_EQ(refused("caller"), 4);
  EXPECT_EQ(refused("callee"), 2);
  EXPECT_EQ(refused("unsigned"), 1);
}

TEST_P(PairingTest, OfTwoProcessesThatMeetDifferentOnesTheFirstOneCounts) {
  const auto one = Start(), two = Start();
  EXPECT_THAT(one->Met(TestCall(), kPeer), IsOk());
  EXPECT_EQ(Of(two->Met(TestCall(), kOther)), Reason::kPeerMismatch);
  EXPECT_EQ(two->Outgoing().callee.id, kPeer.id);
}

TEST_P(PairingTest, ACallWaitsForTheFirstMeeting) {
  const auto pairing = Start();
  std::thread meeting([&] { EXPECT_THAT(pairing->Met(TestCall(), kPeer), IsOk()); });
  EXPECT_THAT(pairing->MayCall(absl::Now() + absl::Minutes(1)), IsOk());
  meeting.join();
}

TEST_P(PairingTest, AfterTheEndOfAPairTheNextOneIsPairedWith) {
  const auto pairing = Start(), replica = Start();
  EXPECT_THAT(pairing->Met(TestCall(), kPeer), IsOk());
  EXPECT_EQ(Of(pairing->Met(TestCall(), kOther)), Reason::kPeerMismatch);
  EXPECT_EQ(*replica->Unpair(TestCall()), kPeer);
  EXPECT_EQ(*replica->Unpair(TestCall()), std::nullopt);
  EXPECT_THAT(pairing->Refresh(TestCall()), IsOk());
  EXPECT_FALSE(pairing->is_mismatch());
  EXPECT_THAT(pairing->Met(TestCall(), kOther), IsOk());
  EXPECT_EQ(Start()->Outgoing().callee.id, kOther.id);
}

// Old and new processes of both services are there for a while.
TEST_P(PairingTest, APairOfAnOlderReleaseIsAdopted) {
  UseByOlderRelease();
  const auto pairing = Start();
  const Instance own = pairing->Outgoing().caller;
  EXPECT_THAT(pairing->MayTake(nullptr), IsOk());
  EXPECT_THAT(pairing->Met(TestCall(), kSilent), IsOk());
  EXPECT_TRUE(pairing->has_met());
  EXPECT_THAT(pairing->MayCall(absl::Now()), IsOk());
  // Its newer process makes calls already, and has met only the older one here.
  EXPECT_THAT(Take(*pairing, kPeer, own), IsOk());
  EXPECT_THAT(Take(*pairing, kPeer, {"user-service", ""}), IsOk());
  EXPECT_EQ(Of(Take(*pairing, kPeer, {"post-service", ""})), Reason::kPeerMismatch);
  EXPECT_EQ(Of(Take(*pairing, {"user-service", kPeer.id}, own)), Reason::kPeerMismatch);
  EXPECT_THAT(pairing->Met(TestCall(), kPeer), IsOk());
  EXPECT_THAT(pairing->Met(TestCall(), kSilent), IsOk());  // a replica that is still the older one
  EXPECT_THAT(pairing->MayTake(nullptr), IsOk());
  EXPECT_THAT(Take(*pairing, kPeer, own), IsOk());
  EXPECT_EQ(Of(Take(*pairing, kOther, own)), Reason::kPeerMismatch);

  now_ += events::Pairing::kAdoption + absl::Seconds(1);
  EXPECT_EQ(Of(pairing->MayTake(nullptr)), Reason::kPeerMismatch);
  EXPECT_EQ(Of(pairing->Met(TestCall(), kSilent)), Reason::kPeerMismatch);
  EXPECT_EQ(Of(Take(*pairing, kPeer, {"user-service", ""})), Reason::kPeerMismatch);
  const auto later = Start();  // the time is not given again
  EXPECT_EQ(Of(later->MayTake(nullptr)), Reason::kPeerMismatch);
  EXPECT_THAT(Take(*later, kPeer, own), IsOk());
}

}  // namespace
}  // namespace crosskey::testing
