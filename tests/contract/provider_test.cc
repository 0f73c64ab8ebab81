// Each case is replayed to the service that it names as the provider: the state is made, the request sent, the answer compared.
#include "tests/contract/provider.h"

#include <gtest/gtest.h>

#include "tests/contract/compare.h"
#include "tests/support/test_database.h"

namespace crosskey::contract {
namespace {

using testing::Side;

class ProviderTest : public testing::DatabaseTest {
 protected:
  // All cases of this environment, with services that they share.
  void Replay(Environment environment, Side side) {
    const std::string name = side == Side::kUsers ? "user-service" : "post-service";
    std::vector<std::pair<const Case*, Variables>> cases;
    for (const Case& contract : Cases()) {
      if (contract.provider == name && EnvironmentOf(contract.state) == environment) cases.push_back({&contract, {}});
    }
    ASSERT_FALSE(cases.empty());
    Provider provider(GetParam(), environment, side);
    // Where all is well until the end, each state is fresh when its call is made.
    const bool at_once = environment == Environment::kNormal;
    for (auto& [contract, variables] : cases) {
      SCOPED_TRACE(contract->file);
      if (!at_once) provider.Prepare(*contract, variables);
    }
    provider.Enter();
    for (auto& [contract, variables] : cases) {
      SCOPED_TRACE(contract->file);
      if (at_once) provider.Prepare(*contract, variables);
      Check(*contract, variables, provider.Call(*contract, variables));
    }
    std::cout << cases.size() << " cases replayed to " << name << std::endl;
  }

  static void Check(const Case& contract, const Variables& variables, const Answer& answer) {
    EXPECT_EQ(answer.response.has_value(), contract.response.has_value())
        << answer.response.value_or(answer.status.value_or(Json())).dump(1);
    if (answer.response.has_value() && contract.response.has_value()) {
      EXPECT_EQ(Differences(variables.Fill(*contract.response), *answer.response, contract.matchers), "")
          << answer.response->dump(1);
    } else if (answer.status.has_value() && contract.status.has_value()) {
      EXPECT_EQ(StatusDifferences(Comparable(variables.Fill(*contract.status)), *answer.status), "")
          << answer.status->dump(1);
    }
  }
};
CROSSKEY_ON_EVERY_DATABASE(ProviderTest);

TEST_P(ProviderTest, UserService) { Replay(Environment::kNormal, Side::kUsers); }
TEST_P(ProviderTest, PostService) { Replay(Environment::kNormal, Side::kPosts); }
TEST_P(ProviderTest, UserServiceWithoutPostService) { Replay(Environment::kPeerAway, Side::kUsers); }
TEST_P(ProviderTest, PostServiceWithoutUserService) { Replay(Environment::kPeerAway, Side::kPosts); }
TEST_P(ProviderTest, UserServiceWithoutDatabase) { Replay(Environment::kDatabaseAway, Side::kUsers); }
TEST_P(ProviderTest, PostServiceWithoutDatabase) { Replay(Environment::kDatabaseAway, Side::kPosts); }
TEST_P(ProviderTest, UserServiceWithABrokenDatabase) { Replay(Environment::kDatabaseBroken, Side::kUsers); }
TEST_P(ProviderTest, PostServiceWithABrokenDatabase) { Replay(Environment::kDatabaseBroken, Side::kPosts); }
TEST_P(ProviderTest, UserServiceOverloaded) { Replay(Environment::kOverloaded, Side::kUsers); }
TEST_P(ProviderTest, PostServiceOverloaded) { Replay(Environment::kOverloaded, Side::kPosts); }
TEST_P(ProviderTest, UserServiceDraining) { Replay(Environment::kDraining, Side::kUsers); }
TEST_P(ProviderTest, PostServiceDraining) { Replay(Environment::kDraining, Side::kPosts); }
TEST_P(ProviderTest, UserServiceInConflict) { Replay(Environment::kConflict, Side::kUsers); }
TEST_P(ProviderTest, PostServiceInConflict) { Replay(Environment::kConflict, Side::kPosts); }
TEST_P(ProviderTest, UserServiceWithAnUndecidedDeletion) { Replay(Environment::kUndecided, Side::kUsers); }
TEST_P(ProviderTest, PostServiceWithAnUndecidedDeletion) { Replay(Environment::kUndecided, Side::kPosts); }

// No case is left out by the lists above.
TEST(ProviderCases, NameAProviderAndAnEnvironmentThatIsReplayed) {
  for (const Case& contract : Cases()) {
    EXPECT_TRUE(contract.provider == "user-service" || contract.provider == "post-service") << contract.file;
  }
}

}  // namespace
}  // namespace crosskey::contract
