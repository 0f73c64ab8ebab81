// What the tests of the API share: a pair for each database, calls by request, and what an error carries.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {

// There is one pair for each database. The first test of a suite that needs it starts it, and it is kept until the
// suite's end. So tests must not depend on rows of each other.
class ApiTest : public DatabaseTest {
 public:
  static void TearDownTestSuite() { pairs_.clear(); }

 protected:
  Pair& pair() {
    auto& pair = pairs_[GetParam()];
    if (pair == nullptr) pair = std::make_unique<Pair>(GetParam());
    return *pair;
  }

 private:
  static inline std::map<std::string, std::unique_ptr<Pair>> pairs_;
};

inline constexpr int64_t kNoSuchId = 4'000'000'000;

inline constexpr auto kAborted = grpc::StatusCode::ABORTED;
inline constexpr auto kNotFound = grpc::StatusCode::NOT_FOUND;

// A username that no other call gave.
inline std::string NewName() {
  static int count = 0;
  return "user " + std::to_string(++count);
}

// `count` times `text`.
inline std::string Repeat(const std::string& text, int count) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

template <typename Message>
Message FromText(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

template <typename Response>
struct Answer {
  grpc::Status status;
  Response response;

  const Response* operator->() const { return &response; }
};

template <typename Stub, typename Request, typename Response>
Answer<Response> Ask(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                     const Request& request) {
  Answer<Response> answer;
  answer.status = Invoke(stub, method, request, &answer.response);
  return answer;
}

// Send(pair, request) calls the method that the request belongs to.
#define CROSSKEY_SEND(package, service, stub, method)                           \
  inline auto Send(Pair& pair, const ::package::v1::method##Request& request) { \
    return Ask(pair.stub(), &::package::v1::service::Stub::method, request);    \
  }
CROSSKEY_SEND(user, UserService, users, CreateUser)
CROSSKEY_SEND(user, UserService, users, GetUser)
CROSSKEY_SEND(user, UserService, users, BatchGetUsers)
CROSSKEY_SEND(user, UserService, users, ListUsers)
CROSSKEY_SEND(user, UserService, users, UpdateUser)
CROSSKEY_SEND(user, UserService, users, DeleteUser)
CROSSKEY_SEND(user, UserService, users, GetUserDeletion)
CROSSKEY_SEND(post, PostService, posts, CreatePost)
CROSSKEY_SEND(post, PostService, posts, BatchCreatePosts)
CROSSKEY_SEND(post, PostService, posts, GetPost)
CROSSKEY_SEND(post, PostService, posts, BatchGetPosts)
CROSSKEY_SEND(post, PostService, posts, ListPosts)
CROSSKEY_SEND(post, PostService, posts, UpdatePost)
CROSSKEY_SEND(post, PostService, posts, DeletePost)
CROSSKEY_SEND(post, PostService, posts, LikePost)
CROSSKEY_SEND(post, PostService, posts, UnlikePost)
CROSSKEY_SEND(post, PostService, posts, ListPostLikes)
CROSSKEY_SEND(post, PostService, posts, ListLikedPosts)
CROSSKEY_SEND(relation, ReferenceService, user_references, LookupReferenced)
CROSSKEY_SEND(relation, ReferenceService, post_references, ReleaseReferenced)
#undef CROSSKEY_SEND

// The same with the request as text.
template <typename Request>
auto Send(Pair& pair, const std::string& text) {
  return Send(pair, FromText<Request>(text));
}

// The ids of users or posts.
template <typename Rows>
std::vector<int64_t> Ids(const Rows& rows) {
  std::vector<int64_t> ids;
  for (const auto& row : rows) ids.push_back(row.id());
  return ids;
}

inline user::v1::User GetUser(Pair& pair, int64_t id) {
  user::v1::User user;
  EXPECT_THAT(pair.TryGetUser(id, &user), GrpcOk());
  return user;
}

inline post::v1::Post GetPost(Pair& pair, int64_t id) {
  post::v1::GetPostRequest request;
  request.set_id(id);
  const auto answer = Send(pair, request);
  EXPECT_THAT(answer.status, GrpcOk());
  return answer->post();
}

// The types of an error's details in their order, without their package.
inline std::vector<std::string> DetailTypes(const grpc::Status& status) {
  google::rpc::Status wire;
  std::vector<std::string> types;
  if (!wire.ParseFromString(status.error_details())) return {"not a google.rpc.Status"};
  for (const auto& any : wire.details()) types.push_back(any.type_url().substr(any.type_url().rfind('.') + 1));
  return types;
}

inline std::map<std::string, std::string> MetadataOf(const grpc::Status& status) {
  const auto info = DetailOf<google::rpc::ErrorInfo>(status);
  if (!info.has_value()) return {};
  return {info->metadata().begin(), info->metadata().end()};
}

// An error as proto/README.md documents it: besides the ErrorInfo it has exactly these details, and this metadata.
struct ErrorRow {
  grpc::StatusCode code;
  std::string reason;
  std::vector<std::string> details;
  std::map<std::string, std::string> metadata;
};

inline void ExpectError(const grpc::Status& status, const ErrorRow& row) {
  EXPECT_THAT(status, GrpcError(row.code, row.reason));
  std::vector<std::string> types = {"ErrorInfo"};
  types.insert(types.end(), row.details.begin(), row.details.end());
  EXPECT_EQ(DetailTypes(status), types);
  EXPECT_EQ(MetadataOf(status), row.metadata) << status.error_message();
  if (const auto retry = DetailOf<google::rpc::RetryInfo>(status)) {
    EXPECT_GT(retry->retry_delay().seconds() + retry->retry_delay().nanos(), 0);
  }
}

// INVALID_FIELD with one violation for each of these fields, and nothing else.
inline void ExpectBadFields(const grpc::Status& status, const std::set<std::string>& fields) {
  EXPECT_THAT(status, GrpcError(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_FIELD"));
  EXPECT_EQ(DetailTypes(status), (std::vector<std::string>{"ErrorInfo", "BadRequest"}));
  const auto details = DetailOf<google::rpc::BadRequest>(status);
  ASSERT_TRUE(details.has_value());
  std::multiset<std::string> named;
  for (const auto& violation : details->field_violations()) {
    named.insert(violation.field());
    EXPECT_NE(violation.description(), "");
  }
  EXPECT_EQ(named, std::multiset<std::string>(fields.begin(), fields.end()));
  auto metadata = MetadataOf(status);
  ASSERT_GT(details->field_violations_size(), 0);
  EXPECT_EQ(metadata["field"], details->field_violations(0).field());
  EXPECT_EQ(metadata["description"], details->field_violations(0).description());
  EXPECT_EQ(metadata["more"], fields.size() == 1 ? "" : std::to_string(fields.size() - 1));
}

}  // namespace crosskey::testing
