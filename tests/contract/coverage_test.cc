// Compares two lists: the errors that proto/README.md documents for each method, and the errors that have a case. For
// the methods of clients they must be the same.
#include <fstream>
#include <regex>
#include <set>

#include <gtest/gtest.h>

#include "absl/strings/str_join.h"
#include "tests/contract/case.h"

namespace crosskey::contract {
namespace {

using Reasons = std::map<std::string, std::set<std::string>>;  // by method

// Reads the items "- `user.v1.UserService/GetUser`: `USER_NOT_FOUND`, ...", which go on in indented lines. The errors
// of the item "every method" belong to each of them.
Reasons Documented() {
  Reasons reasons;
  std::set<std::string> of_every_method;
  std::ifstream file(CROSSKEY_SOURCE_DIR "/proto/README.md");
  const std::regex item(R"(- (?:`([\w.]+/\w+)`|every method): .*)");
  const std::regex reason("`([A-Z_]+)`");
  std::smatch match;
  std::set<std::string>* of_method = nullptr;
  for (std::string line; std::getline(file, line);) {
    if (std::regex_match(line, match, item)) {
      of_method = match[1].matched ? &reasons[match[1]] : &of_every_method;
    } else if (line.rfind("  ", 0) != 0) {
      of_method = nullptr;
    }
    if (of_method == nullptr) continue;
    for (std::sregex_iterator at(line.begin(), line.end(), reason), end; at != end; ++at) of_method->insert((*at)[1]);
  }
  // JSON has no unknown fields, which make any request too large: tests/integration/request_size_test.cc.
  EXPECT_EQ(of_every_method.erase("REQUEST_TOO_LARGE"), 1u);
  for (auto& [method, own] : reasons) own.insert(of_every_method.begin(), of_every_method.end());
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
    ASSERT_EQ(documented.count(method), 1u) << "proto/README.md does not list " << method;
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

// Between the services only the errors that the caller tells apart need a case. All others mean to it that the peer is
// away.
TEST(CoverageTest, EveryErrorOfItsOwnBetweenTheServicesHasACase) {
  const Reasons documented = Documented();
  const Reasons in_cases = InCases();
  const std::set<std::string> common = {"OVERLOADED", "DRAINING", "INTERNAL_ERROR", "UNAUTHENTICATED",
                                        "PERMISSION_DENIED"};
  for (const std::string& method : InternalMethods()) {
    ASSERT_EQ(documented.count(method), 1u) << "proto/README.md does not list " << method;
    for (const std::string& reason : documented.at(method)) {
      if (common.count(reason) > 0) continue;
      EXPECT_EQ(in_cases.at(method).count(reason), 1u) << method << " " << reason;
    }
  }
}

// Prints which cases there are, for whoever reads the output.
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
