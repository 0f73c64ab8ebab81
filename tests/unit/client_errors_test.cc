// What the C++ client reads from errors, and how it repeats writes.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/duration.pb.h>

#include "deploy/clients/cpp/errors.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace crosskey::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

grpc::Status With(const google::rpc::Status& details, grpc::StatusCode code = grpc::StatusCode::UNAVAILABLE) {
  return {code, "a message", details.SerializeAsString()};
}

grpc::Status WithDelay(int64_t seconds, int32_t nanos) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(seconds);
  info.mutable_retry_delay()->set_nanos(nanos);
  google::rpc::Status details;
  details.add_details()->PackFrom(info);
  return With(details);
}

TEST(ReadError, ReadsEveryDetail) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  info.set_reason("A_REASON");
  (*info.mutable_metadata())["resource"] = "users/7";
  details.add_details()->PackFrom(info);
  google::rpc::BadRequest bad_request;
  for (const char* field : {"title", "user_id"}) {
    auto* violation = bad_request.add_field_violations();
    violation->set_field(field);
    violation->set_description("must not be empty");
  }
  details.add_details()->PackFrom(bad_request);
  google::rpc::PreconditionFailure failure;
  auto* violation = failure.add_violations();
  violation->set_type("FOREIGN_KEY");
  violation->set_subject("post.v1.Post.user_id");
  violation->set_description("users/7 does not exist");
  details.add_details()->PackFrom(failure);
  google::rpc::ResourceInfo resource;
  resource.set_resource_type("user.v1.User");
  resource.set_resource_name("users/7");
  resource.set_description("does not exist");
  details.add_details()->PackFrom(resource);
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(1);
  retry.mutable_retry_delay()->set_nanos(500);
  details.add_details()->PackFrom(retry);

  const Error error = ReadError(With(details, grpc::StatusCode::FAILED_PRECONDITION));
  EXPECT_EQ(error.code, grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(error.message, "a message");
  EXPECT_EQ(error.reason, "A_REASON");
  EXPECT_THAT(error.metadata, ElementsAre(Pair("resource", "users/7")));
  ASSERT_EQ(error.field_violations.size(), 2U);
  EXPECT_EQ(error.field_violations[1].field, "user_id");
  EXPECT_EQ(error.field_violations[1].description, "must not be empty");
  ASSERT_EQ(error.precondition_violations.size(), 1U);
  EXPECT_EQ(error.precondition_violations[0].type, "FOREIGN_KEY");
  EXPECT_EQ(error.precondition_violations[0].subject, "post.v1.Post.user_id");
  EXPECT_EQ(error.precondition_violations[0].description, "users/7 does not exist");
  ASSERT_TRUE(error.resource);
  EXPECT_EQ(error.resource->type, "user.v1.User");
  EXPECT_EQ(error.resource->name, "users/7");
  EXPECT_EQ(error.resource->description, "does not exist");
  EXPECT_EQ(error.retry_delay, nanoseconds(1'000'000'500));
}

TEST(ReadError, HasNothingWhereThereIsNothing) {
  for (const std::string& details : {std::string(), std::string("\xff no message")}) {
    const Error error = ReadError({grpc::StatusCode::INTERNAL, "made by gRPC", details});
    EXPECT_EQ(error.code, grpc::StatusCode::INTERNAL);
    EXPECT_EQ(error.message, "made by gRPC");
    EXPECT_THAT(error.reason, IsEmpty());
    EXPECT_THAT(error.metadata, IsEmpty());
    EXPECT_THAT(error.field_violations, IsEmpty());
    EXPECT_THAT(error.precondition_violations, IsEmpty());
    EXPECT_FALSE(error.resource);
    EXPECT_FALSE(error.retry_delay);
  }
}

TEST(ReadError, PassesOverWhatItDoesNotKnow) {
  google::rpc::Status details;
  auto* unknown = details.add_details();
  unknown->set_type_url("type.googleapis.com/some.v1.Detail");
  unknown->set_value("\xff");
  auto* broken = details.add_details();
  broken->set_type_url("type.googleapis.com/google.rpc.BadRequest");
  broken->set_value("\xff");
  google::rpc::ErrorInfo info;
  info.set_reason("A_REASON");
  details.add_details()->PackFrom(info);
  const Error error = ReadError(With(details));
  EXPECT_EQ(error.reason, "A_REASON");
  EXPECT_THAT(error.field_violations, IsEmpty());
}

TEST(ReadError, KeepsDelaysWithinTheirRange) {
  EXPECT_EQ(ReadError(WithDelay(0, 0)).retry_delay, nanoseconds(0));
  EXPECT_EQ(ReadError(WithDelay(-5, -1)).retry_delay, nanoseconds(0));
  EXPECT_GT(ReadError(WithDelay(315'576'000'000, 999'999'999)).retry_delay, std::chrono::hours(24));
}

TEST(CodeName, IsThatOfTheDocumentation) {
  EXPECT_EQ(CodeName(grpc::StatusCode::OK), "OK");
  EXPECT_EQ(CodeName(grpc::StatusCode::FAILED_PRECONDITION), "FAILED_PRECONDITION");
  EXPECT_EQ(CodeName(grpc::StatusCode::UNAVAILABLE), "UNAVAILABLE");
  EXPECT_EQ(CodeName(grpc::StatusCode::UNAUTHENTICATED), "UNAUTHENTICATED");
  EXPECT_EQ(CodeName(static_cast<grpc::StatusCode>(17)), "code 17");
}

// Answers the tries with `answers` in order, then with the last one again and again, and notes the request_id of each
// try.
struct Script {
  std::vector<grpc::Status> answers;
  std::vector<std::string> ids{};

  grpc::Status Run(const RetryPolicy& policy) {
    return WithRequestId(
        [this](grpc::ClientContext* context, const std::string& request_id) {
          EXPECT_GT(context->deadline(), std::chrono::system_clock::now());
          ids.push_back(request_id);
          return answers[std::min(ids.size(), answers.size()) - 1];
        },
        policy);
  }
};

const grpc::Status kUnavailable(grpc::StatusCode::UNAVAILABLE, "");
const grpc::Status kDeadlineExceeded(grpc::StatusCode::DEADLINE_EXCEEDED, "");

RetryPolicy Quick() {
  RetryPolicy policy;
  policy.first_wait = milliseconds(1);
  return policy;
}

TEST(WithRequestId, RepeatsUnderTheSameIdWhatMayHaveTakenEffect) {
  Script script{{kUnavailable, kDeadlineExceeded, grpc::Status::OK}};
  EXPECT_TRUE(script.Run(Quick()).ok());
  ASSERT_EQ(script.ids.size(), 3U);
  EXPECT_EQ(std::set<std::string>(script.ids.begin(), script.ids.end()).size(), 1U);
  EXPECT_THAT(script.ids[0],
              ::testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
}

TEST(WithRequestId, GivesEveryWriteAnIdOfItsOwn) {
  Script one{{grpc::Status::OK}};
  Script another{{grpc::Status::OK}};
  one.Run(Quick());
  another.Run(Quick());
  EXPECT_NE(one.ids, another.ids);
}

TEST(WithRequestId, DoesNotRepeatADefiniteAnswer) {
  for (const auto code : {grpc::StatusCode::FAILED_PRECONDITION, grpc::StatusCode::INVALID_ARGUMENT,
                          grpc::StatusCode::ABORTED, grpc::StatusCode::INTERNAL}) {
    Script script{{grpc::Status(code, ""), grpc::Status::OK}};
    EXPECT_EQ(script.Run(Quick()).error_code(), code);
    EXPECT_EQ(script.ids.size(), 1U);
  }
}

TEST(WithRequestId, GivesUpAfterTheLastTry) {
  Script script{{kUnavailable}};
  RetryPolicy policy = Quick();
  policy.max_tries = 3;
  EXPECT_EQ(script.Run(policy).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(script.ids.size(), 3U);
}

TEST(WithRequestId, WaitsAsLongAsTheServiceSaysWithinBounds) {
  RetryPolicy policy;
  policy.first_wait = std::chrono::minutes(1);
  policy.max_wait = milliseconds(200);
  auto began = steady_clock::now();
  Script said{{WithDelay(0, 50'000'000), grpc::Status::OK}};
  EXPECT_TRUE(said.Run(policy).ok());
  EXPECT_GE(steady_clock::now() - began, milliseconds(50));
  began = steady_clock::now();
  Script too_long{{WithDelay(3600, 0), grpc::Status::OK}};
  EXPECT_TRUE(too_long.Run(policy).ok());
  EXPECT_GE(steady_clock::now() - began, milliseconds(200));
  EXPECT_LT(steady_clock::now() - began, std::chrono::seconds(30));
}

}  // namespace
}  // namespace crosskey::client
