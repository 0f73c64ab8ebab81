// The two lists: which errors proto/README.md documents for each method, and which of them have a case. They must be the same.
#include <fstream>
#include <regex>
#include <set>

#include <google/protobuf/descriptor.h>
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

std::set<std::string> MethodsOf(const std::vector<std::string>& services) {
  std::set<std::string> methods;
  for (const std::string& name : services) {
    const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    for (int i = 0; i < service->method_count(); ++i) methods.insert(name + "/" + service->method(i)->name());
  }
  return methods;
}

const std::vector<std::string> kPublic = {"user.v1.UserService", "post.v1.PostService"};
const std::vector<std::string> kInternal = {"relation.v1.ReferenceService", "event.v1.EventService"};

TEST(CoverageTest, EveryErrorThatIsDocumentedForAPublicMethodHasACaseAndViceVersa) {
  const Reasons documented = Documented();
  const Reasons in_cases = InCases();
  for (const std::string& method : MethodsOf(kPublic)) {
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
  std::vector<std::string> services = kPublic;
  services.insert(services.end(), kInternal.begin(), kInternal.end());
  EXPECT_EQ(succeed, MethodsOf(services));
}

// The errors between the services that the caller treats in a way of their own have a case; the others all are "away" to it.
TEST(CoverageTest, EveryErrorOfItsOwnBetweenTheServicesHasACase) {
  const Reasons documented = Documented();
  const Reasons in_cases = InCases();
  const std::set<std::string> common = {"OVERLOADED", "DRAINING", "INTERNAL_ERROR"};
  for (const std::string& method : MethodsOf(kInternal)) {
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
  std::map<std::string, int> responses;
  for (const Case& contract : Cases()) {
    client += contract.consumer == "client" ? 1 : 0;
    responses[contract.rpc] += contract.response.has_value() ? 1 : 0;
  }
  for (const auto& [method, reasons] : InCases()) {
    std::cout << method << ": " << responses[method] << " responses, " << reasons.size()
              << " errors: " << absl::StrJoin(reasons, " ") << "\n";
  }
  std::cout << Cases().size() << " cases: " << client << " of clients, " << Cases().size() - client
            << " between the services; and " << EventCases().size() << " events\n";
  EXPECT_GT(client, 0u);
}

}  // namespace
}  // namespace crosskey::contract
