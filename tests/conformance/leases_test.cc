// db::Leases on every database.
#include "common/db/leases.h"

#include <atomic>

#include <gtest/gtest.h>

#include "common/db/migrations.h"
#include "post-service/storage/schema.h"
#include "tests/conformance/storage.h"
#include "tests/support/faults.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {
namespace {

constexpr char kName[] = "reclaim";

// Two holders that renew with every call.
struct Two {
  explicit Two(const std::string& backend) : storage(backend) {
    EXPECT_THAT(db::Migrate(storage.database, TestCall(), posts::Schema()), IsOk());
    EXPECT_THAT(first.Add(TestCall(), {kName, "trim"}), IsOk());
  }
  bool First() { return first.Hold(TestCall(), kName).value(); }
  bool Second() { return second.Hold(TestCall(), kName).value(); }
  // Microseconds until the lease ends, by the database's own clock.
  int64_t Remaining() {
    int64_t remaining = 0;
    EXPECT_THAT(storage.database.Read(TestCall(),
                                      [&](db::Connection& connection) -> absl::Status {
                                        CROSSKEY_ASSIGN_OR_RETURN(
                                            const auto row,
                                            connection.QueryOne<int64_t>({"test.remaining",
                                                                          "SELECT expires_at - {now_us} FROM leases "
                                                                          "WHERE name = ?"},
                                                                         kName));
                                        remaining = std::get<0>(*row);
                                        return absl::OkStatus();
                                      }),
                IsOk());
    return remaining;
  }
  void Expire() { storage.own.Run("UPDATE leases SET expires_at = expires_at - 86400000000"); }

  Storage storage;
  db::Leases first{storage.database, "first", absl::Hours(1), absl::ZeroDuration()};
  db::Leases second{storage.database, "second", absl::Hours(1), absl::ZeroDuration()};
};

class LeasesTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(LeasesTest);

TEST_P(LeasesTest, OneHolderAtATime) {
  Two two(GetParam());
  EXPECT_TRUE(two.First());
  EXPECT_FALSE(two.Second());
  EXPECT_TRUE(two.First());  // renewed
  EXPECT_FALSE(two.Second());
  EXPECT_TRUE(two.second.Hold(TestCall(), "trim").value());  // another lease
}

TEST_P(LeasesTest, ALeaseThatExpiresGoesToAnother) {
  Two two(GetParam());
  ASSERT_TRUE(two.First());
  EXPECT_GT(two.Remaining(), absl::ToInt64Microseconds(absl::Minutes(30)));
  EXPECT_LE(two.Remaining(), absl::ToInt64Microseconds(absl::Hours(1)));
  two.Expire();
  EXPECT_TRUE(two.Second());
  EXPECT_FALSE(two.First());
}

// A lease ends further away than any term if the database's clock has been set back, or if a server with another clock
// has taken over.
TEST_P(LeasesTest, AnEndBeyondAnyTermHoldsNobodyUp) {
  Two two(GetParam());
  ASSERT_TRUE(two.First());
  two.storage.own.Run("UPDATE leases SET expires_at = expires_at + 7200000000");
  EXPECT_TRUE(two.Second());
}

TEST_P(LeasesTest, ARenewalMovesTheEnd) {
  Two two(GetParam());
  ASSERT_TRUE(two.First());
  two.Expire();
  ASSERT_TRUE(two.First());
  EXPECT_GT(two.Remaining(), 0);
  EXPECT_FALSE(two.Second());
}

TEST_P(LeasesTest, WhatIsGivenBackIsFreeAtOnce) {
  Two two(GetParam());
  ASSERT_TRUE(two.First());
  ASSERT_THAT(two.second.ReleaseAll(TestCall()), IsOk());  // it holds none
  EXPECT_FALSE(two.Second());
  ASSERT_THAT(two.first.ReleaseAll(TestCall()), IsOk());
  EXPECT_TRUE(two.Second());
}

TEST_P(LeasesTest, GivingBackLeavesAnothersLeaseAlone) {
  Two two(GetParam());
  ASSERT_TRUE(two.First());
  two.Expire();
  ASSERT_TRUE(two.Second());
  ASSERT_THAT(two.first.ReleaseAll(TestCall()), IsOk());
  EXPECT_FALSE(two.First());
}

TEST_P(LeasesTest, AHolderThatIsStartedAgainHasItBackAtOnce) {
  Two two(GetParam());
  ASSERT_TRUE(two.First());
  db::Leases again(two.storage.database, "first");
  EXPECT_TRUE(again.Hold(TestCall(), kName).value());
}

TEST_P(LeasesTest, AFreshLeaseNeedsNoStatement) {
  Two two(GetParam());
  db::Leases leases(two.storage.database, "third", absl::Hours(1));
  std::atomic<int> statements = 0;
  two.storage.database.set_seam(Seam([&](const db::Sql& sql, const db::Rendered&, int64_t) {
    if (sql.name == "leases.hold") ++statements;
  }));
  EXPECT_TRUE(leases.Hold(TestCall(), kName).value());
  EXPECT_TRUE(leases.Hold(TestCall(), kName).value());
  EXPECT_EQ(statements, 1);
  EXPECT_TRUE(two.second.Hold(TestCall(), "trim").value());
  EXPECT_FALSE(leases.Hold(TestCall(), "trim").value());
  EXPECT_FALSE(leases.Hold(TestCall(), "trim").value());
  EXPECT_EQ(statements, 4);  // a lease that it does not hold costs a statement each time
}

}  // namespace
}  // namespace crosskey::testing
