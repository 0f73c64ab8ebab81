// Tests that Grows finds a leak, and nothing else.
#include "tests/workload/growth.h"

#include <gtest/gtest.h>

namespace crosskey::testing {
namespace {

// Whether Grows finds a leak in value(0) to value(99), which are like the MiB of a process of about 50 MiB.
template <typename Value>
bool Finds(Value value) {
  std::vector<int64_t> values;
  for (int i = 0; i < 100; ++i) values.push_back(value(i));
  return Grows(WindowsOf(values), 8);
}

TEST(Growth, ALeakIsFound) {
  EXPECT_TRUE(Finds([](int i) { return 50 + i / 2; }));
}

TEST(Growth, ALeakIsFoundUnderNoise) {
  EXPECT_TRUE(Finds([](int i) { return 50 + i / 2 + (i * 7) % 20; }));
}

TEST(Growth, NoiseIsNone) {
  EXPECT_FALSE(Finds([](int i) { return 50 + (i * 37) % 60; }));
}

TEST(Growth, WarmingUpIsNone) {
  EXPECT_FALSE(Finds([](int i) { return i < 25 ? 10 + 2 * i : 60; }));
}

TEST(Growth, ACacheThatIsFullInTheMiddleIsNone) {
  EXPECT_FALSE(Finds([](int i) { return i < 50 ? 30 + i : 80; }));
}

TEST(Growth, WhatStaysWithinTheAllowanceIsNone) {
  EXPECT_FALSE(Finds([](int i) { return 50 + i / 6; }));
}

}  // namespace
}  // namespace crosskey::testing
