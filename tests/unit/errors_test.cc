// Errors as the domain makes them and as clients get them.
#include "common/status/errors.h"

#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/calls.h"
#include "common/rpc/to_wire.h"
#include "tests/support/status_matchers.h"

namespace crosskey::errors {
namespace {

using absl::StatusCode;
using testing::GrpcError;
using testing::IsOk;
using testing::StatusIs;

constexpr char kUser[] = "user.v1.User";
constexpr char kRelationship[] = "post.v1.Post.user_id";

struct Row {
  absl::Status status;
  StatusCode code;
  std::string reason;
  std::vector<std::string> details;  // besides the ErrorInfo, as they are on the wire
  std::map<std::string, std::string> metadata;
};

std::vector<Row> Table() {
  return {
      {InvalidField("title", "must not be empty"),
       StatusCode::kInvalidArgument,
       "INVALID_FIELD",
       {"BadRequest"},
       {{"field", "title"}, {"description", "must not be empty"}}},
      {InvalidFields({{"a", "one"}, {"b", "two"}, {"c", "three"}}),
       StatusCode::kInvalidArgument,
       "INVALID_FIELD",
       {"BadRequest"},
       {{"field", "a"}, {"description", "one"}, {"more", "2"}}},
      {InvalidPageToken(), StatusCode::kInvalidArgument, "INVALID_PAGE_TOKEN", {}, {{"field", "page_token"}}},
      {NotFound(kUser, RowId{7}), StatusCode::kNotFound, "USER_NOT_FOUND", {"ResourceInfo"}, {{"resource", "users/7"}}},
      {NotFound("post.v1.Post", RowId{8}),
       StatusCode::kNotFound,
       "POST_NOT_FOUND",
       {"ResourceInfo"},
       {{"resource", "posts/8"}}},
      {DeletionNotFound(kUser, RowId{7}),
       StatusCode::kNotFound,
       "DELETION_NOT_FOUND",
       {"ResourceInfo"},
       {{"resource", "users/7"}}},
      {Taken(kUser, "username", "ada"),
       StatusCode::kAlreadyExists,
       "USERNAME_TAKEN",
       {"ResourceInfo"},
       {{"field", "username"}, {"value", "ada"}}},
      {ForeignKeyViolation({{kRelationship, kUser, RowId{7}}}),
       StatusCode::kFailedPrecondition,
       "FOREIGN_KEY_VIOLATION",
       {"PreconditionFailure", "ResourceInfo"},
       {{"relationship", kRelationship}, {"resource", "users/7"}}},
      {ForeignKeyViolation({{kRelationship, kUser, RowId{7}}, {kRelationship, kUser, RowId{8}}}),
       StatusCode::kFailedPrecondition,
       "FOREIGN_KEY_VIOLATION",
       {"PreconditionFailure", "ResourceInfo"},
       {{"relationship", kRelationship}, {"resource", "users/7"}, {"more", "1"}}},
      {ParentDeleting(kUser, RowId{7}),
       StatusCode::kAborted,
       "PARENT_DELETING",
       {"RetryInfo"},
       {{"resource", "users/7"}}},
      {Restricted(kUser, RowId{7}, {{kRelationship, 1000, true}}),
       StatusCode::kFailedPrecondition,
       "RESTRICTED",
       {"PreconditionFailure"},
       {{"resource", "users/7"}, {"relationship", kRelationship}, {"count", "1000"}, {"count_is_minimum", "true"}}},
      {EtagMismatch(kUser, RowId{7}), StatusCode::kAborted, "ETAG_MISMATCH", {}, {{"resource", "users/7"}}},
      {Conflict(), StatusCode::kAborted, "CONFLICT", {"RetryInfo"}, {}},
      {PeerUnavailable("user-service"),
       StatusCode::kUnavailable,
       "PEER_UNAVAILABLE",
       {"RetryInfo"},
       {{"peer", "user-service"}}},
      {PeerMismatch("the caller", "user-service/a", "user-service/b"),
       StatusCode::kFailedPrecondition,
       "PEER_MISMATCH",
       {},
       {{"what", "the caller"}, {"expected", "user-service/a"}, {"actual", "user-service/b"}}},
      {DatabaseUnavailable(), StatusCode::kUnavailable, "DATABASE_UNAVAILABLE", {"RetryInfo"}, {}},
      {DatabaseNotWritable("full"),
       StatusCode::kUnavailable,
       "DATABASE_NOT_WRITABLE",
       {"RetryInfo"},
       {{"why", "full"}}},
      {RequestTooLarge(70'000, 65'536),
       StatusCode::kResourceExhausted,
       "REQUEST_TOO_LARGE",
       {},
       {{"bytes", "70000"}, {"limit", "65536"}}},
      {Overloaded("calls"), StatusCode::kResourceExhausted, "OVERLOADED", {"RetryInfo"}, {{"what", "calls"}}},
      {Draining(), StatusCode::kUnavailable, "DRAINING", {"RetryInfo"}, {}},
      {Unauthenticated("no_credentials"),
       StatusCode::kUnauthenticated,
       "UNAUTHENTICATED",
       {},
       {{"why", "no_credentials"}}},
      {PermissionDenied("policy"), StatusCode::kPermissionDenied, "PERMISSION_DENIED", {}, {{"why", "policy"}}},
      {FeedMismatch("f"), StatusCode::kFailedPrecondition, "FEED_MISMATCH", {}, {{"feed_id", "f"}}},
      {EventsTrimmed(Sequence{17}), StatusCode::kOutOfRange, "EVENTS_TRIMMED", {}, {{"floor", "17"}}},
      {Internal("1f"), StatusCode::kInternal, "INTERNAL_ERROR", {"RequestInfo"}, {{"incident", "1f"}}},
  };
}

// The types of the details in their order, without their package.
std::vector<std::string> DetailTypes(const grpc::Status& status) {
  google::rpc::Status wire;
  EXPECT_TRUE(wire.ParseFromString(status.error_details()));
  std::vector<std::string> types;
  for (const auto& any : wire.details()) {
    EXPECT_TRUE(absl::StartsWith(any.type_url(), "type.googleapis.com/google.rpc.")) << any.type_url();
    types.push_back(any.type_url().substr(any.type_url().rfind('.') + 1));
  }
  return types;
}

TEST(Errors, EachCarriesWhatTheTableSays) {
  for (const Row& row : Table()) {
    SCOPED_TRACE(row.reason);
    EXPECT_THAT(row.status, StatusIs(row.code, row.reason));
    const grpc::Status wire = rpc::ToWire(row.status, "Method");
    EXPECT_THAT(wire, GrpcError(static_cast<grpc::StatusCode>(row.code), row.reason));
    std::vector<std::string> types = {"ErrorInfo"};
    types.insert(types.end(), row.details.begin(), row.details.end());
    EXPECT_EQ(DetailTypes(wire), types);
    const auto info = testing::DetailOf<google::rpc::ErrorInfo>(wire);
    ASSERT_TRUE(info.has_value());
    EXPECT_EQ((std::map<std::string, std::string>(info->metadata().begin(), info->metadata().end())), row.metadata);
  }
}

// Programs read the variables of a message from the metadata, so both must have the same values.
TEST(Errors, EveryValueOfTheMetadataIsInTheMessage) {
  for (const Row& row : Table()) {
    for (const auto& [key, value] : row.metadata) {
      if (value == "true" || value == "false") continue;  // count_is_minimum: "more than"
      EXPECT_TRUE(absl::StrContains(std::string(row.status.message()), value)) << row.status << " " << key;
    }
  }
}

// Code decides by the enum Reason, which follows from the reason that is on the wire.
TEST(Errors, EachHasItsReason) {
  for (const Row& row : Table()) {
    EXPECT_NE(ReasonOf(row.status), Reason::kNone) << row.reason;
    EXPECT_NE(ReasonOf(row.status), Reason::kOther) << row.reason;
  }
  EXPECT_EQ(ReasonOf(NotFound(kUser, RowId{7})), Reason::kNotFound);
  EXPECT_EQ(ReasonOf(DeletionNotFound(kUser, RowId{7})), Reason::kDeletionNotFound);
  EXPECT_EQ(ReasonOf(Taken(kUser, "username", "ada")), Reason::kTaken);
  EXPECT_EQ(ReasonOf(Conflict()), Reason::kConflict);
  EXPECT_EQ(ReasonOf(Make(StatusCode::kAlreadyExists, "ALREADY_PINNED", "posts/1 is pinned")), Reason::kOther);
  EXPECT_EQ(ReasonOf(absl::NotFoundError("x")), Reason::kNone);
  EXPECT_EQ(ReasonOf(absl::OkStatus()), Reason::kNone);
}

TEST(Errors, ResourcesAreNamedByPluralAndId) {
  EXPECT_EQ(ResourceName(kUser, RowId{7}), "users/7");
  EXPECT_EQ(ResourceName("post.v1.Post", RowId{-1}), "posts/-1");
}

TEST(Errors, AnExactCountIsNoMinimum) {
  const grpc::Status wire = rpc::ToWire(Restricted(kUser, RowId{7}, {{kRelationship, 3, false}}), "Method");
  EXPECT_EQ(testing::DetailOf<google::rpc::ErrorInfo>(wire)->metadata().at("count_is_minimum"), "false");
  EXPECT_FALSE(absl::StrContains(wire.error_message(), "more than"));
}

// Whatever a client sends, the details stay small and can be decoded.
TEST(Errors, DetailsStayBelowFourKilobytes) {
  std::vector<std::string> texts = {std::string(1'000'000, 'x'), std::string(500, '\0'), std::string(3000, '"')};
  for (int shift = 0; shift < 4; ++shift) {
    std::string text(shift, 'x');
    for (int i = 0; i < 5000; ++i) text += "\U0001F600";
    texts.push_back(text);
  }
  for (const std::string& text : texts) {
    const std::vector<FieldViolation> fields(1000, {text, text});
    const std::vector<MissingReference> missing(1000,
                                                {kRelationship, kUser, RowId{std::numeric_limits<int64_t>::min()}});
    for (const absl::Status& status :
         {InvalidFields(fields), InvalidField(text, text), Taken(kUser, "username", text), ForeignKeyViolation(missing),
          PeerUnavailable(text), PeerMismatch(text, text, text), Overloaded(text), FeedMismatch(text)}) {
      const grpc::Status wire = rpc::ToWire(status, "Method");
      // GrpcError checks the size, too.
      EXPECT_THAT(wire, GrpcError(wire.error_code(), ReasonName(status)));
      EXPECT_LT(wire.error_message().size(), 1024U);
      EXPECT_GE(DetailTypes(wire).size(), 1U);
      const auto bad = testing::DetailOf<google::rpc::BadRequest>(wire);
      EXPECT_EQ(bad.has_value(), wire.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
    }
  }
}

TEST(Errors, TheNumberOfViolationsLeftOutIsSaid) {
  std::vector<FieldViolation> fields;
  for (int i = 0; i < 30; ++i) fields.push_back({absl::StrCat("field", i), "is bad"});
  const grpc::Status wire = rpc::ToWire(InvalidFields(fields), "Method");
  const auto bad = testing::DetailOf<google::rpc::BadRequest>(wire);
  ASSERT_EQ(bad->field_violations_size(), 20);
  EXPECT_EQ(bad->field_violations(19).field(), "field19");
  EXPECT_EQ(testing::DetailOf<google::rpc::ErrorInfo>(wire)->metadata().at("more"), "29");
}

TEST(ToWire, OkStaysOk) { EXPECT_TRUE(rpc::ToWire(absl::OkStatus(), "Method").ok()); }

TEST(ToWire, WhatGrpcMakesItselfCarriesNoDetails) {
  for (const auto& [status, code] : std::vector<std::pair<absl::Status, grpc::StatusCode>>{
           {absl::CancelledError("x"), grpc::StatusCode::CANCELLED},
           {absl::DeadlineExceededError("x"), grpc::StatusCode::DEADLINE_EXCEEDED}}) {
    const grpc::Status wire = rpc::ToWire(status, "Method");
    EXPECT_EQ(wire.error_code(), code);
    EXPECT_EQ(wire.error_details(), "");
  }
}

// A status that no function of errors.h made was not foreseen, whatever its code: the client gets an id, and the log
// gets the rest.
TEST(ToWire, TheUnforeseenGoesToTheLogAndNotToTheClient) {
  std::set<std::string> incidents;
  for (const StatusCode code : {StatusCode::kInternal, StatusCode::kUnknown, StatusCode::kNotFound,
                                StatusCode::kAlreadyExists, StatusCode::kUnavailable, StatusCode::kAborted,
                                StatusCode::kFailedPrecondition, StatusCode::kInvalidArgument}) {
    absl::Status status(code, "users.get: SELECT secret FROM table");
    status.SetPayload("crosskey.db/kind", absl::Cord("secret"));
    status.SetPayload("type.googleapis.com/google.rpc.DebugInfo", absl::Cord("secret"));
    ::testing::internal::CaptureStderr();
    const grpc::Status wire = rpc::ToWire(status, "GetUser");
    const std::string log = ::testing::internal::GetCapturedStderr();

    EXPECT_THAT(wire, GrpcError(grpc::StatusCode::INTERNAL, "INTERNAL_ERROR"));
    EXPECT_EQ(DetailTypes(wire), (std::vector<std::string>{"ErrorInfo", "RequestInfo"}));
    EXPECT_FALSE(absl::StrContains(wire.error_message() + wire.error_details(), "secret"));
    const std::string incident = testing::DetailOf<google::rpc::RequestInfo>(wire)->request_id();
    EXPECT_TRUE(absl::StrContains(log, incident)) << log;
    EXPECT_TRUE(absl::StrContains(log, "SELECT secret FROM table")) << log;
    EXPECT_TRUE(absl::StrContains(log, "GetUser")) << log;
    EXPECT_TRUE(incidents.insert(incident).second) << "an incident's id was used twice";
  }
}

// Payloads of inner layers do not reach a client, not even beside details that do.
TEST(ToWire, OnlyDetailsGoOut) {
  absl::Status status = NotFound(kUser, RowId{7});
  status.SetPayload("crosskey.db/kind", absl::Cord("secret"));
  const grpc::Status wire = rpc::ToWire(status, "GetUser");
  EXPECT_EQ(DetailTypes(wire), (std::vector<std::string>{"ErrorInfo", "ResourceInfo"}));
  EXPECT_FALSE(absl::StrContains(wire.error_details(), "secret"));
}

TEST(Admission, IsClosedUntilOpenAndAfterDrain) {
  rpc::Admission admission({2});
  EXPECT_THAT(admission.Enter("a"), StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  admission.Open();
  EXPECT_THAT(admission.Enter("a"), IsOk());
  EXPECT_THAT(admission.Enter("a"), IsOk());
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(admission.Enter("a"), StatusIs(StatusCode::kResourceExhausted, "OVERLOADED"));
  }
  admission.Leave("a");
  EXPECT_THAT(admission.Enter("a"), IsOk());
  admission.Drain();
  EXPECT_THAT(admission.Enter("a"), StatusIs(StatusCode::kUnavailable, "DRAINING"));
}

}  // namespace
}  // namespace crosskey::errors
