// Tests the consumer "client", which is the messages and the error reading of deploy/clients/cpp, against a stub that
// answers what the files say.
#include <gtest/gtest.h>

#include "deploy/clients/cpp/errors.h"
#include "google/rpc/error_details.pb.h"
#include "tests/contract/call.h"
#include "tests/contract/compare.h"
#include "tests/contract/states.h"
#include "tests/contract/stub.h"
#include "tests/support/pair.h"

namespace crosskey::contract {
namespace {

constexpr char kDetail[] = "type.googleapis.com/google.rpc.";

// What a program can learn from the error by deploy/clients/cpp, in the form of the case.
Json AsClientSees(const client::Error& error, const Json& code) {
  Json details = Json::array();
  if (!error.field_violations.empty()) {
    Json violations = Json::array();
    for (const auto& each : error.field_violations) {
      violations.push_back({{"field", each.field}, {"description", each.description}});
    }
    details.push_back({{"@type", absl::StrCat(kDetail, "BadRequest")}, {"field_violations", violations}});
  }
  Json info = {{"@type", absl::StrCat(kDetail, "ErrorInfo")}, {"reason", error.reason}, {"domain", "crosskey"}};
  for (const auto& [name, value] : error.metadata) info["metadata"][name] = value;
  details.push_back(info);
  if (!error.precondition_violations.empty()) {
    Json violations = Json::array();
    for (const auto& each : error.precondition_violations) {
      violations.push_back({{"type", each.type}, {"subject", each.subject}, {"description", each.description}});
    }
    details.push_back({{"@type", absl::StrCat(kDetail, "PreconditionFailure")}, {"violations", violations}});
  }
  return {{"code", code}, {"details", details}};
}

// Leaves out the details that AsClientSees does not make: ResourceInfo and RetryInfo are only checked for being there,
// and RequestInfo is not read.
Json OfInterest(const Json& status) {
  Json kept = Json::array();
  for (Json detail : status["details"]) {
    const std::string type = detail["@type"];
    if (detail.contains("field_violations")) {
      for (Json& violation : detail["field_violations"]) violation.erase("reason");  // the same as in the ErrorInfo
    }
    if (type != absl::StrCat(kDetail, "ResourceInfo") && type != absl::StrCat(kDetail, "RetryInfo") &&
        type != absl::StrCat(kDetail, "RequestInfo")) {
      kept.push_back(detail);
    }
  }
  return {{"code", status["code"]}, {"details", kept}};
}

bool Has(const Json& status, const std::string& type) {
  for (const Json& detail : status["details"]) {
    if (detail["@type"] == kDetail + type) return true;
  }
  return false;
}

TEST(ClientTest, UnderstandsWhatEveryCasePromises) {
  Stub stub;
  const auto channel = testing::OpenChannel(stub.port());
  int count = 0;
  for (const Case& contract : Cases()) {
    if (contract.consumer != "client") continue;
    SCOPED_TRACE(contract.file);
    ++count;
    const Variables variables = Examples(contract.state);
    const Json request = variables.Fill(contract.request);
    const Stub::Reply reply = stub.Answer(contract, variables);

    const Answer answer = CallMethod(channel, contract.rpc, request);
    stub.ExpectLastRequest(contract.rpc, request);
    if (contract.response.has_value()) {
      ASSERT_TRUE(answer.response.has_value());
      EXPECT_EQ(Differences(variables.Fill(*contract.response), *answer.response, contract.matchers), "");
      continue;
    }
    const Json expected = Comparable(variables.Fill(*contract.status));
    const client::Error error = client::ReadError(reply.status);
    EXPECT_EQ(StatusDifferences(OfInterest(expected), AsClientSees(error, expected["code"])), "");
    EXPECT_EQ(error.retry_delay.has_value(), Has(expected, "RetryInfo"));
    EXPECT_EQ(error.resource.has_value(), Has(expected, "ResourceInfo"));
  }
  std::cout << count << " cases understood by the client" << std::endl;
  EXPECT_GT(count, 0);
}

}  // namespace
}  // namespace crosskey::contract
