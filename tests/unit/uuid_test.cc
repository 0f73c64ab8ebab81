// New UUIDs.
#include "common/events/uuid.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/rpc/field_errors.h"

namespace crosskey::testing {
namespace {

using ::testing::MatchesRegex;

TEST(Uuid, IsRandomOfVersionFourAndNeverTheSame) {
  std::set<std::string> seen, fourth;
  for (int i = 0; i < 10'000; ++i) {
    const std::string uuid = NewUuid();
    EXPECT_THAT(uuid, MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
    EXPECT_TRUE(rpc::IsUuid(uuid));
    EXPECT_TRUE(seen.insert(uuid).second);
    fourth.insert(uuid.substr(19, 1));
  }
  EXPECT_EQ(fourth.size(), 4u);
}

}  // namespace
}  // namespace crosskey::testing
