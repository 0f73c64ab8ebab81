// Replays each case to the service that it names as the provider: makes the state, sends the request, and compares the
// answer.
#include "tests/contract/provider.h"

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "tests/contract/compare.h"
#include "tests/support/secured.h"
#include "tests/support/test_database.h"

namespace crosskey::contract {
namespace {

using testing::Side;

// Who has asked for a deletion is told only where callers are asked who they are.
Json WithoutPrincipals(Json answer) {
  if (answer.is_object()) answer.erase("requested_by");
  if (!answer.is_structured()) return answer;
  for (auto& part : answer) part = WithoutPrincipals(std::move(part));
  return answer;
}

class ProviderTest : public testing::DatabaseTest {
 protected:
  static void TearDownTestSuite() { clusters_.clear(); }

  std::shared_ptr<const testing::Secured> secured_ = nullptr;

  // Replays all cases of this provider and environment.
  void Replay(Environment environment, Side side) {
    const std::string name = side == Side::kUsers ? "user-service" : "post-service";
    CasesAndVariables cases;
    for (const Case& contract : Cases()) {
      if (contract.provider == name && EnvironmentOf(contract.state) == environment) cases.push_back({&contract, {}});
    }
    ASSERT_FALSE(cases.empty());
    // A feed with a new name is not consumed any more, and within two seconds the provider takes no writes.
    std::stable_partition(cases.begin(), cases.end(), [](const auto& each) {
      return each.first->rpc != "relation.v1.ReferenceService/BeginRepair";
    });
    Clusters& clusters = clusters_.try_emplace(GetParam(), GetParam(), secured_).first->second;
    Provider provider(clusters, environment, side);
    if (environment == Environment::kNormal) {
      // All is well until the end, so each state can be made just before its call.
      for (auto& [contract, variables] : cases) {
        SCOPED_TRACE(contract->file);
        provider.Prepare(*contract, variables);
        Check(*contract, variables, provider.Call(*contract, variables));
      }
    } else {
      PrepareAll(provider, cases);
      provider.Enter();
      CallAll(provider, cases);
    }
    std::cout << cases.size() << " cases replayed to " << name << std::endl;
    if (secured_ != nullptr) ExpectNoNames(provider.Logs(), cases);
  }

 private:
  using CasesAndVariables = std::vector<std::pair<const Case*, Variables>>;

  // Whatever was called, and whatever went wrong: no name or text of a user or post is in the log or in the record,
  // even if everything is logged. For tokens ChildProcess looks in every log.
  static void ExpectNoNames(const std::string& logs, const CasesAndVariables& cases) {
    EXPECT_THAT(logs, ::testing::HasSubstr("\"debug\"")) << "not everything is logged";
    std::set<std::string> secrets = {"Text of "};
    for (const auto& each : cases) {
      for (const auto& [name, value] : each.second.values()) {
        if (absl::EndsWith(name, ".username")) secrets.insert(value);
      }
    }
    for (const std::string& secret : secrets) {
      const size_t at = logs.find(secret);
      EXPECT_EQ(at, std::string::npos) << secret << " is in: " << logs.substr(at < 200 ? 0 : at - 200, 400);
    }
  }

  static void PrepareAll(Provider& provider, CasesAndVariables& cases) {
    // An error of every method is the same whatever has become of the data, so such cases share their data.
    std::map<std::vector<std::string>, Variables> shared;
    for (auto& [contract, variables] : cases) {
      SCOPED_TRACE(contract->file);
      const auto found = shared.find(contract->state);
      if (contract->of_every_method && found != shared.end()) {
        variables = found->second;
        continue;
      }
      provider.Prepare(*contract, variables);
      if (contract->of_every_method) shared[contract->state] = variables;
    }
  }

  // Makes all calls at once, because most of them wait: for a peer that is not there, or for the next attempt after a
  // conflict.
  static void CallAll(Provider& provider, const CasesAndVariables& cases) {
    std::vector<Answer> answers(cases.size());
    std::vector<std::thread> threads;
    for (size_t i = 0; i < cases.size(); ++i) {
      threads.emplace_back([&, i] {
        const auto& [contract, variables] = cases[i];
        SCOPED_TRACE(contract->file);
        answers[i] = provider.Call(*contract, variables);
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (size_t i = 0; i < cases.size(); ++i) {
      const auto& [contract, variables] = cases[i];
      SCOPED_TRACE(contract->file);
      Check(*contract, variables, answers[i]);
    }
  }

  static void Check(const Case& contract, const Variables& variables, const Answer& answer) {
    EXPECT_EQ(answer.response.has_value(), contract.response.has_value())
        << answer.response.value_or(answer.status.value_or(Json())).dump(1);
    if (answer.response.has_value() && contract.response.has_value()) {
      EXPECT_EQ(Differences(variables.Fill(*contract.response), WithoutPrincipals(*answer.response), contract.matchers),
                "")
          << answer.response->dump(1);
    } else if (answer.status.has_value() && contract.status.has_value()) {
      EXPECT_EQ(StatusDifferences(Comparable(variables.Fill(*contract.status)), *answer.status), "")
          << answer.status->dump(1);
    }
  }

  inline static std::map<std::string, Clusters> clusters_;  // by database
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
TEST_P(ProviderTest, UserServiceThatCannotWrite) { Replay(Environment::kReadOnly, Side::kUsers); }
TEST_P(ProviderTest, PostServiceThatCannotWrite) { Replay(Environment::kReadOnly, Side::kPosts); }
TEST_P(ProviderTest, UserServiceForNobody) { Replay(Environment::kNobody, Side::kUsers); }
TEST_P(ProviderTest, PostServiceForNobody) { Replay(Environment::kNobody, Side::kPosts); }
TEST_P(ProviderTest, UserServiceForAStranger) { Replay(Environment::kStranger, Side::kUsers); }
TEST_P(ProviderTest, PostServiceForAStranger) { Replay(Environment::kStranger, Side::kPosts); }
TEST_P(ProviderTest, UserServiceWithALostHistory) { Replay(Environment::kHistoryLost, Side::kUsers); }
TEST_P(ProviderTest, PostServiceWithALostHistory) { Replay(Environment::kHistoryLost, Side::kPosts); }
TEST_P(ProviderTest, UserServiceWithAnUndecidedDeletion) { Replay(Environment::kUndecided, Side::kUsers); }
TEST_P(ProviderTest, PostServiceWithAnUndecidedDeletion) { Replay(Environment::kUndecided, Side::kPosts); }

// The same cases, for callers that TLS and a policy let through.
class SecuredProviderTest : public ProviderTest {
 protected:
  SecuredProviderTest() { secured_ = std::make_shared<const testing::Secured>(); }
};
CROSSKEY_ON_EVERY_DATABASE(SecuredProviderTest);

TEST_P(SecuredProviderTest, UserService) { Replay(Environment::kNormal, Side::kUsers); }
TEST_P(SecuredProviderTest, PostService) { Replay(Environment::kNormal, Side::kPosts); }
TEST_P(SecuredProviderTest, UserServiceWithoutPostService) { Replay(Environment::kPeerAway, Side::kUsers); }
TEST_P(SecuredProviderTest, PostServiceWithoutUserService) { Replay(Environment::kPeerAway, Side::kPosts); }
TEST_P(SecuredProviderTest, UserServiceWithoutDatabase) { Replay(Environment::kDatabaseAway, Side::kUsers); }
TEST_P(SecuredProviderTest, PostServiceWithoutDatabase) { Replay(Environment::kDatabaseAway, Side::kPosts); }
TEST_P(SecuredProviderTest, UserServiceOverloaded) { Replay(Environment::kOverloaded, Side::kUsers); }
TEST_P(SecuredProviderTest, PostServiceOverloaded) { Replay(Environment::kOverloaded, Side::kPosts); }
TEST_P(SecuredProviderTest, UserServiceDraining) { Replay(Environment::kDraining, Side::kUsers); }
TEST_P(SecuredProviderTest, PostServiceDraining) { Replay(Environment::kDraining, Side::kPosts); }
TEST_P(SecuredProviderTest, UserServiceWithABrokenDatabase) { Replay(Environment::kDatabaseBroken, Side::kUsers); }
TEST_P(SecuredProviderTest, PostServiceWithABrokenDatabase) { Replay(Environment::kDatabaseBroken, Side::kPosts); }
TEST_P(SecuredProviderTest, UserServiceInConflict) { Replay(Environment::kConflict, Side::kUsers); }
TEST_P(SecuredProviderTest, PostServiceInConflict) { Replay(Environment::kConflict, Side::kPosts); }
TEST_P(SecuredProviderTest, UserServiceThatCannotWrite) { Replay(Environment::kReadOnly, Side::kUsers); }
TEST_P(SecuredProviderTest, PostServiceThatCannotWrite) { Replay(Environment::kReadOnly, Side::kPosts); }
TEST_P(SecuredProviderTest, UserServiceWithAnUndecidedDeletion) { Replay(Environment::kUndecided, Side::kUsers); }
TEST_P(SecuredProviderTest, PostServiceWithAnUndecidedDeletion) { Replay(Environment::kUndecided, Side::kPosts); }
TEST_P(SecuredProviderTest, UserServiceWithALostHistory) { Replay(Environment::kHistoryLost, Side::kUsers); }
TEST_P(SecuredProviderTest, PostServiceWithALostHistory) { Replay(Environment::kHistoryLost, Side::kPosts); }

// Each case is replayed by one of the tests above.
TEST(ProviderCases, NameAProviderAndAnEnvironmentThatIsReplayed) {
  for (const Case& contract : Cases()) {
    EXPECT_TRUE(contract.provider == "user-service" || contract.provider == "post-service") << contract.file;
  }
}

}  // namespace
}  // namespace crosskey::contract
