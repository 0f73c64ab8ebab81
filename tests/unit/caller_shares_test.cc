#include "common/rpc/caller_shares.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/status/errors.h"

namespace crosskey::rpc {
namespace {

using ::testing::HasSubstr;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

// Takes as many places as it gets.
int TakeAll(CallerShares& shares, const std::string& principal, int wanted = 1000, absl::Time now = kNow) {
  for (int taken = 0; taken < wanted; ++taken) {
    if (!shares.Enter(principal, now).ok()) return taken;
  }
  return wanted;
}

TEST(CallerSharesTest, OneThatIsAloneMayTakeAll) {
  CallerShares shares(100, 0);
  EXPECT_EQ(TakeAll(shares, "a"), 100);
  const absl::Status full = shares.Enter("a", kNow);
  EXPECT_TRUE(errors::Is(full, errors::Reason::kOverloaded));
  shares.Leave("a", kNow);
  EXPECT_TRUE(shares.Enter("a", kNow).ok());
}

TEST(CallerSharesTest, TheLastQuarterIsForThoseWithLessThanTheirShare) {
  CallerShares shares(100, 0);
  ASSERT_EQ(TakeAll(shares, "greedy", 75), 75);
  // Alone it could go on. With another one present its share is 50, which it has.
  ASSERT_TRUE(shares.Enter("modest", kNow).ok());
  EXPECT_THAT(std::string(shares.Enter("greedy", kNow).message()), HasSubstr("calls of this caller"));
  EXPECT_EQ(TakeAll(shares, "modest"), 24);
}

TEST(CallerSharesTest, WhoHasLeftIsNotCounted) {
  CallerShares shares(100, 0);
  ASSERT_TRUE(shares.Enter("modest", kNow).ok());
  ASSERT_EQ(TakeAll(shares, "greedy"), 74) << "the last quarter begins";
  EXPECT_FALSE(shares.Enter("greedy", kNow).ok());
  shares.Leave("modest", kNow);
  EXPECT_EQ(TakeAll(shares, "greedy"), 1) << "the other one may come back at any moment";
  EXPECT_TRUE(shares.Enter("greedy", kNow + absl::Milliseconds(1100)).ok());
}

// It holds no place most of the time, and that is when the other one takes all it can get.
TEST(CallerSharesTest, WhoMakesOneCallAfterTheOtherFindsAPlaceEachTime) {
  CallerShares shares(100, 0);
  ASSERT_EQ(TakeAll(shares, "greedy"), 100);
  EXPECT_FALSE(shares.Enter("modest", kNow).ok()) << "all has been taken before it was there";
  for (int i = 0; i < 50; ++i) shares.Leave("greedy", kNow);
  for (int i = 0; i < 100; ++i) {
    const absl::Time now = kNow + absl::Milliseconds(100) * i;
    TakeAll(shares, "greedy", 1000, now);
    ASSERT_TRUE(shares.Enter("modest", now).ok()) << i;
    TakeAll(shares, "greedy", 1000, now);
    shares.Leave("modest", now);
    TakeAll(shares, "greedy", 1000, now);
  }
  EXPECT_EQ(shares.in_flight(), 75);
}

TEST(CallerSharesTest, TheRateIsOfEachCaller) {
  CallerShares shares(100, 10);
  EXPECT_EQ(TakeAll(shares, "a"), 10);
  EXPECT_THAT(std::string(shares.Enter("a", kNow).message()), HasSubstr("rate of this caller"));
  EXPECT_EQ(TakeAll(shares, "b", 3), 3);
  EXPECT_TRUE(shares.Enter("a", kNow + absl::Milliseconds(100)).ok());
  EXPECT_FALSE(shares.Enter("a", kNow + absl::Milliseconds(100)).ok());
}

TEST(CallerSharesTest, AClockThatIsSetBackGivesNothing) {
  CallerShares shares(100, 10);
  ASSERT_EQ(TakeAll(shares, "a"), 10);
  EXPECT_FALSE(shares.Enter("a", kNow - absl::Hours(1)).ok());
  EXPECT_TRUE(shares.Enter("a", kNow - absl::Hours(1) + absl::Seconds(1)).ok());
}

TEST(CallerSharesTest, AnyNumberOfCallersIsServed) {
  CallerShares shares(4, 1);
  for (int i = 0; i < 30'000; ++i) {
    const std::string principal = absl::StrCat("jwt:issuer#", i);
    ASSERT_TRUE(shares.Enter(principal, kNow).ok()) << i;
    shares.Leave(principal, kNow);
  }
}

}  // namespace
}  // namespace crosskey::rpc
