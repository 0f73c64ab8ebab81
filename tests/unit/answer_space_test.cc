#include "common/idempotency/answer_space.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status/errors.h"

namespace crosskey::idempotency {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);
constexpr int64_t kMost = 1'000'000;

std::string Why(const absl::Status& status) { return std::string(status.message()); }

TEST(AnswerSpaceTest, OneCallerMayHaveHalf) {
  AnswerSpace space(kMost);
  EXPECT_TRUE(space.Check("a", kNow).ok());
  space.Add("a", kMost / 2, kNow);
  EXPECT_THAT(Why(space.Check("a", kNow)), ::testing::HasSubstr("stored answers of this caller"));
  EXPECT_TRUE(space.Check("b", kNow).ok());
}

TEST(AnswerSpaceTest, AllTogetherMayHaveAll) {
  AnswerSpace space(kMost);
  for (const char* principal : {"a", "b", "c"}) space.Add(principal, kMost / 3, kNow);
  EXPECT_THAT(Why(space.Check("d", kNow)), ::testing::HasSubstr("stored answers"));
}

TEST(AnswerSpaceTest, ARowCountsBesidesItsAnswer) {
  AnswerSpace space(kMost);
  int stored = 0;
  for (; space.Check("a", kNow).ok() && stored < kMost; ++stored) space.Add("a", 0, kNow);
  EXPECT_GT(stored, 0);
  EXPECT_LT(stored, kMost);
}

TEST(AnswerSpaceTest, ADayLaterItIsFree) {
  AnswerSpace space(kMost);
  space.Add("a", kMost, kNow);
  EXPECT_FALSE(space.Check("a", kNow + absl::Hours(24)).ok()) << "an answer may be as old as that";
  EXPECT_TRUE(space.Check("a", kNow + absl::Hours(25)).ok());
  EXPECT_TRUE(space.Check("b", kNow + absl::Hours(25)).ok());
}

TEST(AnswerSpaceTest, EachHourFreesItsOwn) {
  AnswerSpace space(kMost);
  for (int hour = 0; hour < 100; ++hour) {
    const absl::Time now = kNow + absl::Hours(hour);
    ASSERT_TRUE(space.Check("a", now).ok()) << hour;
    space.Add("a", kMost / 2 / 26 - 256, now);
  }
  space.Add("a", kMost / 20, kNow + absl::Hours(99));
  EXPECT_FALSE(space.Check("a", kNow + absl::Hours(99)).ok());
  EXPECT_TRUE(space.Check("a", kNow + absl::Hours(1000)).ok());
}

TEST(AnswerSpaceTest, AClockThatIsSetBackFreesNothing) {
  AnswerSpace space(kMost);
  space.Add("a", kMost, kNow);
  EXPECT_FALSE(space.Check("a", kNow - absl::Hours(48)).ok());
  space.Add("b", 1, kNow - absl::Hours(48));
  EXPECT_FALSE(space.Check("a", kNow).ok());
}

}  // namespace
}  // namespace crosskey::idempotency
