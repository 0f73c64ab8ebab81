// The two lists: which errors proto/README.md documents for each method, and which of them have a case. They must be the same.
#include <fstream>
#include <regex>
#include <set>

#include <gtest/gtest.h>

#include "absl/strings/str_join.h"
#include "tests/contract/case.h"

namespace crosskey::contract {
namespace {

using Reasons = std::map<std::string, std::set<std::string>>;  // by method

// The rows "| `user.v1.UserService/GetUser` | `USER_NOT_FOUND`, ... |".
Reasons Documented() {
  Reasons reasons;
  std::ifstream file(CROSSKEY_SOURCE_DIR "/proto/README.md");
  const std::regex row(R"(\| `([\w.]+/\w+)` \| (.*) \|)");
  const std::regex reason("`([A-Z_]+)`");
  std::smatch cells;
  for (std::string line; std::getline(file, line);) {
    if (!std::regex_match(line, cells, row)) continue;
    const std::string list = cells[2];
    auto& of_method = reasons[cells[1]];
    for (std::sregex_iterator at(list.begin(), list.end(), reason), end; at != end; ++at) of_method.insert((*at)[1]);
  }
  return reasons;
}

Reasons InCases() {
  Reasons reasons;
  for (const Case& contract : Cases()) {
    auto& of_method = reasons[contract.rpc];
    if (contract.status.has_value()) of_method.insert(ReasonOf(contract));
  }
  return reasons;
}

TEST(CoverageTest, EveryErrorThatIsDocumentedForAPublicMethodHasACaseAndViceVersa) {
  const Reasons documented = Documented();
  const Reasons in_cases = InCases();
  for (const std::string& method : PublicMethods()) {
    ASSERT_EQ(documented.count(method), 1u) << "proto/README.md has no row for " << method;
    const auto found = in_cases.find(method);
    EXPECT_EQ(documented.at(method), found == in_cases.end() ? std::set<std::string>() : found->second) << method;
  }
}

TEST(CoverageTest, EveryMethodHasACaseThatSucceeds) {
  std::set<std::string> succeed;
  for (const Case& contract : Cases()) {
    if (contract.response.has_value()) succeed.insert(contract.rpc);
  }
  std::set<std::string> methods(PublicMethods().begin(), PublicMethods().end());
  methods.insert(InternalMethods().begin(), InternalMethods().end());
  EXPECT_EQ(succeed, methods);
}

// The errors between the services that the caller treats in a way of their own have a case; the others all are "away" to it.
TEST(CoverageTest, EveryErrorOfItsOwnBetweenTheServicesHasACase) {
  const Reasons documented = Documented();
  const Reasons in_cases = InCases();
  const std::set<std::string> common = {"OVERLOADED", "DRAINING", "INTERNAL_ERROR"};
  for (const std::string& method : InternalMethods()) {
    ASSERT_EQ(documented.count(method), 1u) << "proto/README.md has no row for " << method;
    for (const std::string& reason : documented.at(method)) {
      if (common.count(reason) > 0) continue;
      EXPECT_EQ(in_cases.at(method).count(reason), 1u) << method << " " << reason;
    }
  }
}

// For whoever reads the output: which cases there are.
TEST(CoverageTest, IsPrinted) {
  size_t client = 0;
  size_t of_every_method = 0;
  std::map<std::string, int> responses;
  for (const Case& contract : Cases()) {
    client += contract.consumer == "client" ? 1 : 0;
    of_every_method += contract.of_every_method ? 1 : 0;
    responses[contract.rpc] += contract.response.has_value() ? 1 : 0;
  }
  for (const auto& [method, reasons] : InCases()) {
    std::cout << method << ": " << responses[method] << " responses, " << reasons.size()
              << " errors: " << absl::StrJoin(reasons, " ") << "\n";
  }
  std::cout << Cases().size() << " cases: " << client << " of clients, " << Cases().size() - client
            << " between the services, " << of_every_method << " of the errors of every method; and "
            << EventCases().size() << " events\n";
  EXPECT_GT(client, 0u);
}

}  // namespace
}  // namespace crosskey::contract
