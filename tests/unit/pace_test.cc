// How the removal of rows adapts to what its batches cost, and to others.
#include "common/relation/child/pace.h"

#include <gtest/gtest.h>

#include "common/status/limits.h"

namespace crosskey::testing {
namespace {

using relation::Pace;

TEST(PaceTest, DoublesTheBatchUpToTheLimitWhileItIsQuick) {
  Pace pace;
  for (int size = Pace::kFirstBatch; size < limits::kReclaimBatchRows; size *= 2) {
    EXPECT_EQ(pace.rows(), size);
    EXPECT_EQ(pace.After(size, absl::Microseconds(size)), absl::ZeroDuration());
  }
  EXPECT_EQ(pace.rows(), limits::kReclaimBatchRows);
  pace.After(limits::kReclaimBatchRows, absl::ZeroDuration());
  EXPECT_EQ(pace.rows(), limits::kReclaimBatchRows);
}

TEST(PaceTest, TakesAsManyRowsAsFitIntoTheTime) {
  Pace pace;
  pace.After(Pace::kFirstBatch, 2 * Pace::kBatchAlone);
  EXPECT_EQ(pace.rows(), Pace::kFirstBatch / 2);
  pace.After(pace.rows(), absl::Hours(1));
  EXPECT_EQ(pace.rows(), Pace::kSmallestBatch);
  pace.After(pace.rows(), Pace::kBatchAlone / 1.5);
  EXPECT_EQ(pace.rows(), Pace::kSmallestBatch * 3 / 2);
}

// A few rows cost little, whatever their number.
TEST(PaceTest, LearnsNothingFromABatchThatIsNotFull) {
  Pace pace;
  pace.After(Pace::kFirstBatch - 1, absl::Microseconds(1));
  EXPECT_EQ(pace.rows(), Pace::kFirstBatch);
}

TEST(PaceTest, HasSmallerBatchesAndRestsBesideCalls) {
  bool calls = false;
  Pace pace([&] { return calls; });
  const absl::Duration held = 2 * Pace::kBatchBesideCalls;
  ASSERT_LT(held, Pace::kBatchAlone);
  EXPECT_EQ(pace.After(Pace::kFirstBatch, held), absl::ZeroDuration());
  const int alone = pace.rows();
  EXPECT_GT(alone, Pace::kFirstBatch);
  calls = true;
  EXPECT_EQ(pace.After(alone, held), Pace::kRests * held);
  EXPECT_EQ(pace.rows(), alone / 2);
  EXPECT_EQ(pace.After(pace.rows(), absl::Minutes(1)), Pace::kLongestRest);
}

}  // namespace
}  // namespace crosskey::testing
