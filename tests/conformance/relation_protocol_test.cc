// Both sides of the protocol together: crashes at every statement, lost answers, and all parts at work at once.
#include <atomic>
#include <future>
#include <thread>

#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "common/status/limits.h"
#include "tests/conformance/relation_shop.h"

namespace crosskey::testing {
namespace {

using relation::Action;
using relation::DeletionState;
using relation::ReleaseRequest;

class Protocol : public DatabaseTest {
 protected:
  // An hour passes in which both services are started again and finish what was left.
  static void Recover(Shop& shop) {
    shop.owners.Restart();
    shop.items.Restart();
    shop.owners.Advance(absl::Hours(1));
    EXPECT_THAT(shop.owners.Recover(), IsOk());
    shop.Settle();
  }

  // Everything or nothing: either the owner is there with all its items, or neither is there.
  static void ExpectDecided(const Shop& shop, int64_t owner, int64_t items) {
    for (const DeletionState state : shop.owners.Deletions(owner)) {
      EXPECT_TRUE(state == DeletionState::kCompleted || state == DeletionState::kRefused) << static_cast<int>(state);
    }
    if (shop.owners.StateOf(owner) == kAbsent) {
      EXPECT_EQ(shop.items.Items(owner), 0);
      EXPECT_EQ(shop.items.StateOf(owner), kAbsent);
    } else {
      EXPECT_EQ(shop.owners.StateOf(owner), kActive);
      EXPECT_EQ(shop.items.Items(owner), items);
      EXPECT_EQ(shop.items.StateOf(owner), kActive);
    }
    EXPECT_EQ(shop.Orphans(), 0);
  }

  // Deletes an owner, who has three items if `with_items`, and lets `service` crash after its first statement. Does the
  // same again with the second statement and so on, until there is none left to crash after. The other service lives on
  // and is not told. Returns the number of deletions.
  static int CrashEverywhere(Shop& shop, ShopService& service, Action action, bool with_items) {
    for (int crashes = 1;; ++crashes) {
      const int64_t owner = shop.owners.Create();
      shop.Settle();
      if (with_items) {
        EXPECT_THAT(shop.items.AddItems(owner, 3), IsOk());
      }
      service.CrashAfter(crashes);
      try {
        (void)shop.owners.Delete(owner, action);
        shop.Settle();
      } catch (const Crash&) {
      }
      const bool crashed = !service.CancelCrash();
      Recover(shop);
      ExpectDecided(shop, owner, with_items ? 3 : 0);
      if (::testing::Test::HasFailure()) {
        ADD_FAILURE() << "after a crash behind statement " << crashes;
        return crashes;
      }
      if (!crashed) return crashes;
    }
  }
};
CROSSKEY_ON_EVERY_DATABASE(Protocol);

TEST_P(Protocol, DeletesAnOwnerWithEverythingAndReportsIt) {
  Shop shop(GetParam());
  const int64_t ada = shop.owners.Create();
  const int64_t grace = shop.owners.Create();
  ASSERT_THAT(shop.items.AddItems(ada, 3), IsOk());
  ASSERT_THAT(shop.items.AddItem(grace), IsOk());
  ASSERT_THAT(shop.owners.Delete(ada), IsOk());
  shop.Settle();
  EXPECT_EQ(shop.owners.Latest(ada)->state, DeletionState::kCompleted);
  EXPECT_EQ(shop.owners.Latest(ada)->rows.at(kItemOwner), 3);
  ExpectDecided(shop, ada, 0);
  EXPECT_EQ(shop.items.Items(grace), 1);
}

TEST_P(Protocol, SurvivesACrashOfTheOwnersServiceAtEveryStatement) {
  Shop shop(GetParam());
  EXPECT_GT(CrashEverywhere(shop, shop.owners, Action::kCascade, true), 20);
}

TEST_P(Protocol, SurvivesACrashOfTheOwnersServiceInARestrictThatSucceeds) {
  Shop shop(GetParam());
  EXPECT_GT(CrashEverywhere(shop, shop.owners, Action::kRestrict, false), 20);
}

TEST_P(Protocol, SurvivesACrashOfTheItemsServiceAtEveryStatement) {
  for (const Action action : {Action::kCascade, Action::kRestrict}) {
    Shop shop(GetParam());
    // To the caller a crash is a lost answer.
    shop.owners.peer.OnRelease([&](const ReleaseRequest& request) -> absl::StatusOr<relation::ReleaseAnswer> {
      try {
        return shop.items.Release(request);
      } catch (const Crash&) {
        shop.items.Restart();
        return errors::PeerUnavailable("item-service");
      }
    });
    EXPECT_GT(CrashEverywhere(shop, shop.items, action, action == Action::kCascade), 10);
  }
}

// I3 when the answer of the release is lost: the intent stays, and the recovery gets the same answer again.
TEST_P(Protocol, ALostAnswerIsFoundOutAgain) {
  Shop shop(GetParam());
  for (const bool refused : {true, false}) {
    const int64_t owner = shop.owners.Create();
    if (refused) {
      ASSERT_THAT(shop.items.AddItems(owner, 3), IsOk());
    }
    shop.owners.peer.OnRelease([&](const ReleaseRequest& request) -> absl::StatusOr<relation::ReleaseAnswer> {
      // As if the items had come after the preflight.
      if (request.validate_only) return relation::ReleaseAnswer{true, {}};
      EXPECT_THAT(shop.items.Release(request), IsOk());
      return errors::PeerUnavailable("item-service");
    });
    EXPECT_THAT(shop.owners.Delete(owner, Action::kRestrict),
                StatusIs(absl::StatusCode::kUnavailable, "PEER_UNAVAILABLE"));
    if (refused) shop.items.Run("DELETE FROM items");
    shop.owners.peer.OnRelease([&](const ReleaseRequest& request) { return shop.items.Release(request); });
    Recover(shop);
    EXPECT_EQ(shop.owners.StateOf(owner), refused ? kActive : kAbsent) << "although its items are gone by now";
    ExpectDecided(shop, owner, 0);
  }
}

// The release was sent, got lost on the way, and arrives when its deletion is long over.
TEST_P(Protocol, AReleaseThatArrivesLateDoesNoHarm) {
  Shop shop(GetParam());
  const int64_t ada = shop.owners.Create();
  ASSERT_THAT(shop.items.AddItems(ada, 3), IsOk());
  ReleaseRequest late;
  shop.owners.peer.OnRelease([&](const ReleaseRequest& request) {
    late = request;
    return errors::PeerUnavailable("item-service");
  });
  ASSERT_THAT(shop.owners.Delete(ada), IsOk());
  EXPECT_EQ(shop.items.StateOf(ada), kActive);
  shop.Settle();
  ExpectDecided(shop, ada, 0);
  EXPECT_THAT(shop.items.Release(late), StatusIs(absl::StatusCode::kAborted, "CONFLICT"));
  ExpectDecided(shop, ada, 0);
}

// The lookup is answered, then the owner is deleted and the event is consumed, and only then the answer is used: the
// fence must not let it pass.
TEST_P(Protocol, AWriteThatADeletionOvertakesLeavesNoOrphan) {
  Shop shop(GetParam());
  const int64_t ada = shop.owners.Create();
  shop.items.peer.OnLookup([&](const std::vector<int64_t>& ids) {
    const auto answer = shop.owners.Lookup(ids);
    if (shop.items.peer.lookups().size() == 1) {
      EXPECT_THAT(shop.owners.Delete(ada), IsOk());
      shop.Settle();
    }
    return answer;
  });
  EXPECT_THAT(shop.items.AddItem(ada), StatusIs(absl::StatusCode::kFailedPrecondition, "FOREIGN_KEY_VIOLATION"));
  EXPECT_EQ(shop.items.peer.lookups().size(), 2u);
  shop.Settle();
  ExpectDecided(shop, ada, 0);
}

// Writers, deleters with both actions, consumers and reclaimers at once.
TEST_P(Protocol, LeavesNoOrphanWithEverybodyAtWork) {
  Shop shop(GetParam());
  constexpr int kOwners = 6;
  constexpr int kWriters = 4;
  std::vector<int64_t> owners;
  for (int i = 0; i < kOwners; ++i) owners.push_back(shop.owners.Create());
  std::atomic<bool> stop = false;
  std::atomic<int> late_writes = 0;
  std::vector<std::atomic<bool>> acknowledged(kOwners);
  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w] {
      for (size_t i = static_cast<size_t>(w); !stop; i = (i + 1) % kOwners) {
        const bool deleted = acknowledged[i];
        const absl::Status status = shop.items.AddItem(owners[i]);
        if (deleted && status.ok()) ++late_writes;
        const std::string reason = errors::ReasonName(status);
        EXPECT_TRUE(status.ok() || reason == "FOREIGN_KEY_VIOLATION" || reason == "PARENT_DELETING" ||
                    reason == "CONFLICT")
            << status;
      }
    });
  }
  threads.emplace_back([&] {
    while (!stop) shop.Settle();
  });
  threads.emplace_back([&] {
    while (!stop) shop.items.ReclaimAll();
  });
  for (size_t i = 0; i < kOwners; ++i) {
    EXPECT_TRUE(WaitFor([&] { return shop.items.Items(owners[i]) >= 3; }));
    // About half of the time the RESTRICT comes first. Then it is refused, because there are items.
    auto restricted = std::async(std::launch::async, [&] { return shop.owners.Delete(owners[i], Action::kRestrict); });
    absl::StatusOr<std::optional<relation::Deletion>> cascaded;
    EXPECT_TRUE(WaitFor([&] {
      cascaded = shop.owners.Delete(owners[i], Action::kCascade);
      return cascaded.ok();
    })) << cascaded.status();
    acknowledged[i] = true;
    EXPECT_FALSE(restricted.get().ok());
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  shop.Settle();
  EXPECT_EQ(late_writes, 0);
  EXPECT_EQ(shop.Orphans(), 0);
  EXPECT_EQ(shop.items.AllItems(), 0);
  EXPECT_EQ(shop.items.Number("SELECT COUNT(*) FROM owner_refs"), 0);
  for (const int64_t owner : owners) {
    EXPECT_EQ(shop.owners.Latest(owner)->state, DeletionState::kCompleted);
  }
}

}  // namespace
}  // namespace crosskey::testing
