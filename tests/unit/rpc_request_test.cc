// The functions that read requests: page tokens, page sizes, etags, update masks, ids.
#include <limits>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "common/rpc/etag.h"
#include "common/rpc/field_errors.h"
#include "common/rpc/field_mask.h"
#include "common/rpc/page_token.h"
#include "post/v1/post.pb.h"
#include "tests/support/status_matchers.h"

namespace crosskey::rpc {
namespace {

using testing::IsOk;
using testing::StatusIs;
using ::testing::UnorderedElementsAre;

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

google::protobuf::RepeatedField<int64_t> IdList(std::initializer_list<int64_t> ids) { return {ids.begin(), ids.end()}; }

// The violations of a status, "field: description".
std::vector<std::string> Violations(const absl::Status& status) {
  std::vector<std::string> violations;
  const auto payload = status.GetPayload("type.googleapis.com/google.rpc.BadRequest");
  google::rpc::BadRequest details;
  if (!payload.has_value() || !details.ParseFromString(std::string(*payload))) return violations;
  for (const auto& violation : details.field_violations()) {
    violations.push_back(violation.field() + ": " + violation.description());
  }
  return violations;
}

TEST(PageToken, GivesBackTheId) {
  for (const int64_t id : {int64_t{1}, int64_t{255}, int64_t{256}, int64_t{1} << 40, kMax}) {
    const std::string token = EncodePageToken("list", id);
    EXPECT_EQ(token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
              std::string::npos)
        << token;
    const auto decoded = DecodePageToken("list", token);
    ASSERT_THAT(decoded, IsOk());
    EXPECT_EQ(*decoded, id);
  }
}

TEST(PageToken, AnEmptyOneIsTheBeginning) {
  const auto decoded = DecodePageToken("list", "");
  ASSERT_THAT(decoded, IsOk());
  EXPECT_EQ(*decoded, 0);
}

TEST(PageToken, EverythingElseIsRefused) {
  const std::string token = EncodePageToken("list", 7);
  std::vector<std::string> forged = {"x",
                                     "=",
                                     " ",
                                     std::string(1, '\0'),
                                     token + "A",
                                     token + "=",
                                     token + "==",
                                     "\n" + token,
                                     token.substr(1),
                                     token + token,
                                     std::string(1'000'000, 'A'),
                                     "\xff"};
  for (size_t size = 1; size < token.size(); ++size) forged.push_back(token.substr(0, size));
  // Another character anywhere makes another token, even if it decodes to the same bytes.
  for (size_t i = 0; i < token.size(); ++i) {
    for (const char c : {'A', 'B', 'Q', 'a', '0', '-', '_', '+', '/'}) {
      std::string changed = token;
      changed[i] = c;
      if (changed != token) forged.push_back(changed);
    }
  }
  for (const std::string& text : forged) {
    EXPECT_THAT(DecodePageToken("list", text), StatusIs(absl::StatusCode::kInvalidArgument, "INVALID_PAGE_TOKEN"))
        << absl::CEscape(text.substr(0, 60));
  }
}

TEST(PageToken, IsBoundToItsList) {
  for (const std::string other : {"", "list2", "lis", "List", "list\n", "list\n7"}) {
    EXPECT_THAT(DecodePageToken(other, EncodePageToken("list", 7)),
                StatusIs(absl::StatusCode::kInvalidArgument, "INVALID_PAGE_TOKEN"))
        << other;
  }
}

TEST(PageSize, HasADefaultAndALimit) {
  struct Case {
    int32_t requested;
    int64_t given;
  };
  for (const auto& [requested, given] :
       std::vector<Case>{{0, 50}, {1, 1}, {999, 999}, {1000, 1000}, {1001, 1000}, {2147483647, 1000}}) {
    FieldErrors errors;
    EXPECT_EQ(PageSize(requested, errors), given);
    EXPECT_THAT(errors.status(), IsOk());
  }
  for (const int32_t requested : {-1, std::numeric_limits<int32_t>::min()}) {
    FieldErrors errors;
    PageSize(requested, errors);
    EXPECT_THAT(errors.status(), StatusIs(absl::StatusCode::kInvalidArgument, "INVALID_FIELD"));
  }
}

TEST(Etag, GivesBackTheVersion) {
  for (const int64_t version : {int64_t{1}, int64_t{2}, int64_t{1} << 40, kMax}) {
    EXPECT_EQ(VersionOf(EtagOf(version)), version);
  }
  EXPECT_NE(EtagOf(1), EtagOf(11));
  EXPECT_EQ(VersionOf(""), std::nullopt);
}

TEST(Etag, AnotherTextIsAVersionThatNoRowHas) {
  for (const std::string etag : {"v", "1", "x1", "V1", "v01", "v+1", "v 1", "v1 ", " v1", "v1v1", "v0x1", "v-1", "v1.0",
                                 "*", "v9223372036854775808", "\"v1\"", "W/\"v1\"", "\xc3\xa9"}) {
    EXPECT_EQ(VersionOf(etag), -1) << etag;
  }
  EXPECT_EQ(VersionOf(std::string("v1\0", 3)), -1);
}

TEST(FieldMask, NamesTheFieldsToUpdate) {
  const std::set<std::string> all = {"title", "content", "user_id"};
  struct Case {
    std::vector<std::string> paths;
    std::set<std::string> fields;
  };
  post::v1::Post post;
  post.set_title("x");
  post.set_uid("output only");
  for (const auto& [paths, fields] : std::vector<Case>{
           {{"title"}, {"title"}},
           {{"content", "title"}, {"content", "title"}},
           {{"title", "title"}, {"title"}},
           {{"*"}, all},
           {{"title", "*"}, all},
       }) {
    google::protobuf::FieldMask mask;
    for (const std::string& path : paths) mask.add_paths(path);
    FieldErrors errors;
    EXPECT_EQ(FieldsToUpdate(&mask, post, all, errors), fields);
    EXPECT_THAT(errors.status(), IsOk());
  }
}

TEST(FieldMask, WithoutOneThePopulatedFieldsAreMeant) {
  post::v1::Post post;
  FieldErrors errors;
  const std::set<std::string> all = {"title", "content", "user_id"};
  EXPECT_THAT(FieldsToUpdate(nullptr, post, all, errors), ::testing::IsEmpty());
  post.set_uid("output only");
  post.set_content("x");
  post.set_user_id(7);
  EXPECT_THAT(FieldsToUpdate(nullptr, post, all, errors), UnorderedElementsAre("content", "user_id"));
  EXPECT_THAT(errors.status(), IsOk());
}

TEST(FieldMask, EveryOtherPathIsAnError) {
  google::protobuf::FieldMask mask;
  for (const char* path : {"uid", "title", "nope", "", "post.title"}) mask.add_paths(path);
  FieldErrors errors;
  FieldsToUpdate(&mask, post::v1::Post(), {"title"}, errors);
  EXPECT_THAT(Violations(errors.status()),
              UnorderedElementsAre("update_mask.paths[0]: \"uid\" is output only",
                                   "update_mask.paths[2]: \"nope\" is not a field of post.v1.Post",
                                   "update_mask.paths[3]: \"\" is not a field of post.v1.Post",
                                   "update_mask.paths[4]: \"post.title\" is not a field of post.v1.Post"));
}

TEST(FieldErrors, NoneIsOk) {
  FieldErrors errors;
  errors.RequireId("id", 1);
  errors.RequireId("id", kMax);
  errors.RequireCount("ids", 1, 1, 3);
  errors.RequireCount("ids", 3, 1, 3);
  errors.RequireIds("ids", IdList({1, 2, 2}), 1, 3);
  EXPECT_THAT(errors.status(), IsOk());
}

TEST(FieldErrors, EachIsNamedInOrder) {
  FieldErrors errors;
  errors.RequireId("id", 0);
  errors.RequireId("user_id", -1);
  errors.RequireCount("requests", 0, 1, 3);
  errors.RequireIds("ids", IdList({1, 0, -5}), 1, 3);
  errors.RequireIds("more", IdList({1, 0, -5, 2}), 1, 3);  // too many: then its elements are not named as well
  EXPECT_THAT(errors.status(), StatusIs(absl::StatusCode::kInvalidArgument, "INVALID_FIELD"));
  EXPECT_EQ(Violations(errors.status()),
            (std::vector<std::string>{"id: must be positive, not 0", "user_id: must be positive, not -1",
                                      "requests: must have 1 to 3 elements, not 0", "ids[1]: must be positive, not 0",
                                      "ids[2]: must be positive, not -5", "more: must have 1 to 3 elements, not 4"}));
}

}  // namespace
}  // namespace crosskey::rpc
