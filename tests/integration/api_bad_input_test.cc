// Sends requests that must be refused, and checks which fields the error names, and that nothing has changed.
#include <functional>
#include <limits>

#include <google/protobuf/stubs/logging.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/integration/api_client.h"

namespace crosskey::testing {
namespace {

class ApiBadInput : public ApiTest {
 protected:
  // Everything that a refused request must leave as it is.
  std::string Stored() {
    std::string stored;
    for (const auto& row : pair().user_db().Query("SELECT id, username, version, state FROM users ORDER BY id")) {
      for (const std::string& value : row) absl::StrAppend(&stored, value, "|");
    }
    for (const auto& row : pair().post_db().Query("SELECT id, user_id, title, version FROM posts ORDER BY id")) {
      for (const std::string& value : row) absl::StrAppend(&stored, value, "|");
    }
    return stored;
  }
};
CROSSKEY_ON_EVERY_DATABASE(ApiBadInput);

struct BadInput {
  std::string name;
  std::function<grpc::Status(Pair&)> call;
  std::set<std::string> fields;
};

template <typename Request>
BadInput Bad(const Request& request, std::set<std::string> fields) {
  return {absl::StrCat(request.GetTypeName(), " {", request.ShortDebugString().substr(0, 200), "}"),
          [request](Pair& pair) { return Send(pair, request).status; }, std::move(fields)};
}

template <typename Request>
BadInput Bad(const std::string& text, std::set<std::string> fields) {
  return Bad(FromText<Request>(text), std::move(fields));
}

void ExpectAllRefused(Pair& pair, const std::vector<BadInput>& cases) {
  for (const BadInput& bad : cases) {
    SCOPED_TRACE(bad.name);
    ExpectBadFields(bad.call(pair), bad.fields);
  }
}

const std::string kSmile = "\U0001F600";
const std::string kNul("a\0b", 3);

// A way to send a text to a field. In a format of By, TEXT stands for the text.
struct Carrier {
  std::string field;
  std::function<grpc::Status(Pair&, const std::string&)> send;
};

template <typename Request>
Carrier By(const std::string& field, const std::string& format) {
  return {field, [format](Pair& pair, const std::string& text) {
            return Send<Request>(pair, absl::StrReplaceAll(format, {{"TEXT", absl::CEscape(text)}})).status;
          }};
}

void ExpectTextsRefused(Pair& pair, const std::vector<Carrier>& carriers, const std::vector<std::string>& texts) {
  for (const Carrier& carrier : carriers) {
    for (const std::string& text : texts) {
      SCOPED_TRACE(absl::StrCat(carrier.field, ": ", absl::CEscape(text.substr(0, 100))));
      ExpectBadFields(carrier.send(pair, text), {carrier.field});
    }
  }
}

TEST_P(ApiBadInput, Usernames) {
  const int64_t user = pair().CreateUser(NewName());
  const std::string before = Stored();
  const std::vector<Carrier> carriers = {
      By<user::v1::CreateUserRequest>("username", "username: 'TEXT'"),
      By<user::v1::UpdateUserRequest>(
          "user.username", absl::StrCat("user { id: ", user, " username: 'TEXT' } update_mask { paths: 'username' }")),
      By<user::v1::UpdateUserRequest>(
          "user.username", absl::StrCat("user { id: ", user, " username: 'TEXT' } update_mask { paths: '*' }")),
  };
  std::vector<std::string> texts = {
      "", " ", Repeat("a", 51), Repeat("é", 51), Repeat(kSmile, 51), Repeat("a", 60'000), kNul, std::string(1, '\0'),
  };
  for (const char* control : {"\x01", "\t", "\n", "\r", "\x1f", "\x7f", "\u0080", "\u0085", "\u009f"}) {
    texts.push_back(absl::StrCat("a", control, "b"));
  }
  for (const char* space :
       {" ", "\u00a0", "\u1680", "\u2000", "\u2003", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"}) {
    texts.push_back(absl::StrCat(space, "a"));
    texts.push_back(absl::StrCat("a", space));
  }
  ExpectTextsRefused(pair(), carriers, texts);
  EXPECT_EQ(Stored(), before);
}

TEST_P(ApiBadInput, TitlesAndContents) {
  const int64_t user = pair().CreateUser(NewName());
  const int64_t post = pair().CreatePost(user);
  const std::string before = Stored();
  const auto carriers = [&](const std::string& field) {
    const std::string title = field == "title" ? "" : "title: 'title' ";
    return std::vector<Carrier>{
        By<post::v1::CreatePostRequest>(field, absl::StrCat("user_id: ", user, " ", title, field, ": 'TEXT'")),
        By<post::v1::BatchCreatePostsRequest>(
            absl::StrCat("requests[1].", field),
            absl::StrCat("requests { user_id: ", user, " title: 'title' } requests { user_id: ", user, " ", title,
                         field, ": 'TEXT' }")),
        By<post::v1::UpdatePostRequest>(
            absl::StrCat("post.", field),
            absl::StrCat("post { id: ", post, " ", field, ": 'TEXT' } update_mask { paths: '", field, "' }")),
    };
  };
  std::vector<std::string> titles = {"", Repeat("a", 101), Repeat("é", 101), Repeat(kSmile, 101), kNul};
  for (const char* control : {"\x01", "\t", "\n", "\r", "\x1f", "\x7f", "\u0080", "\u0085", "\u009f"}) {
    titles.push_back(absl::StrCat("a", control, "b"));
  }
  ExpectTextsRefused(pair(), carriers("title"), titles);
  ExpectTextsRefused(pair(), carriers("content"),
                     {kNul, std::string(1, '\0'), Repeat("x", 65'536), Repeat("é", 32'768), Repeat(kSmile, 16'384)});
  EXPECT_EQ(Stored(), before);
}

TEST_P(ApiBadInput, Ids) {
  const std::string before = Stored();
  for (const int64_t id : {int64_t{0}, int64_t{-1}, std::numeric_limits<int64_t>::min()}) {
    const std::string n = absl::StrCat(id);
    ExpectAllRefused(
        pair(),
        {
            Bad<user::v1::GetUserRequest>("id: " + n, {"id"}),
            Bad<user::v1::BatchGetUsersRequest>("ids: [7, " + n + ", 8]", {"ids[1]"}),
            Bad<user::v1::UpdateUserRequest>("user { username: 'a' id: " + n + "}", {"user.id"}),
            Bad<user::v1::DeleteUserRequest>("id: " + n, {"id"}),
            Bad<user::v1::DeleteUserRequest>("allow_missing: true validate_only: true id: " + n, {"id"}),
            Bad<user::v1::GetUserDeletionRequest>("user_id: " + n, {"user_id"}),
            Bad<post::v1::CreatePostRequest>("title: 'a' user_id: " + n, {"user_id"}),
            Bad<post::v1::BatchCreatePostsRequest>("requests { title: 'a' user_id: " + n + "}",
                                                   {"requests[0].user_id"}),
            Bad<post::v1::GetPostRequest>("id: " + n, {"id"}),
            Bad<post::v1::BatchGetPostsRequest>("ids: [" + n + ", 8, " + n + "]", {"ids[0]", "ids[2]"}),
            Bad<post::v1::UpdatePostRequest>("post { title: 'a' id: " + n + "}", {"post.id"}),
            Bad<post::v1::UpdatePostRequest>("post { id: 1 user_id: " + n + "} update_mask { paths: 'user_id' }",
                                             {"post.user_id"}),
            Bad<post::v1::DeletePostRequest>("id: " + n, {"id"}),
            Bad<::relation::v1::LookupReferencedRequest>("type: 'user.v1.User' ids: " + n, {"ids[0]"}),
            Bad<::relation::v1::ReleaseReferencedRequest>(
                "type: 'user.v1.User' uid: '00000000-0000-4000-8000-000000000001' deletion_id: 1 id: " + n, {"id"}),
            Bad<::relation::v1::ReleaseReferencedRequest>(
                "type: 'user.v1.User' uid: '00000000-0000-4000-8000-000000000001' id: 1 deletion_id: " + n,
                {"deletion_id"}),
        });
  }
  ExpectAllRefused(pair(), {Bad<post::v1::ListPostsRequest>("user_id: -1", {"user_id"})});
  EXPECT_EQ(Stored(), before);
}

TEST_P(ApiBadInput, Sizes) {
  user::v1::BatchGetUsersRequest users;
  for (int id = 1; id <= 1001; ++id) users.add_ids(id);
  ::relation::v1::LookupReferencedRequest lookup;
  lookup.set_type("user.v1.User");
  *lookup.mutable_ids() = users.ids();
  post::v1::BatchGetPostsRequest posts;
  for (int id = 1; id <= 51; ++id) posts.add_ids(id);
  post::v1::BatchCreatePostsRequest create;
  for (int i = 0; i < 1001; ++i)
    *create.add_requests() = FromText<post::v1::CreatePostRequest>("title: 'a' user_id: 1");
  post::v1::BatchCreatePostsRequest heavy;
  for (int i = 0; i < 48; ++i) {
    auto* request = heavy.add_requests();
    *request = create.requests(0);
    request->set_content(Repeat("x", 65'535));
  }

  const std::string before = Stored();
  ExpectAllRefused(pair(), {
                               Bad<user::v1::BatchGetUsersRequest>("", {"ids"}),
                               Bad(users, {"ids"}),
                               Bad(lookup, {"ids"}),
                               Bad<post::v1::BatchGetPostsRequest>("", {"ids"}),
                               Bad(posts, {"ids"}),
                               Bad<post::v1::BatchCreatePostsRequest>("", {"requests"}),
                               Bad(create, {"requests"}),
                               Bad<user::v1::ListUsersRequest>("page_size: -1", {"page_size"}),
                               Bad<user::v1::ListUsersRequest>("page_size: -2147483648", {"page_size"}),
                               Bad<post::v1::ListPostsRequest>("page_size: -1", {"page_size"}),
                               Bad<post::v1::ListPostsRequest>("page_size: -2147483648", {"page_size"}),
                           });
  EXPECT_THAT(Send(pair(), heavy).status, GrpcError(grpc::StatusCode::RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE"));
  EXPECT_EQ(Stored(), before);
}

TEST_P(ApiBadInput, UpdateMasks) {
  const int64_t user = pair().CreateUser(NewName());
  const int64_t post = pair().CreatePost(user);
  const std::string before = Stored();
  std::vector<BadInput> cases;
  for (const std::string path : {"nope", "", "Username", "user.username", "username.x", "**", "id", "uid", "state",
                                 "create_time", "update_time", "etag"}) {
    cases.push_back(Bad<user::v1::UpdateUserRequest>(
        absl::StrCat("user { id: ", user, " username: 'changed' } update_mask { paths: ['username', '", path, "'] }"),
        {"update_mask.paths[1]"}));
  }
  for (const std::string path :
       {"nope", "", "Title", "post.title", "userId", "id", "uid", "create_time", "update_time", "etag"}) {
    cases.push_back(Bad<post::v1::UpdatePostRequest>(
        absl::StrCat("post { id: ", post, " title: 'changed' } update_mask { paths: ['", path, "', 'title'] }"),
        {"update_mask.paths[0]"}));
  }
  cases.push_back(Bad<user::v1::UpdateUserRequest>(absl::StrCat("user { id: ", user, " } update_mask { paths: '*' }"),
                                                   {"user.username"}));
  cases.push_back(Bad<post::v1::UpdatePostRequest>(absl::StrCat("post { id: ", post, " } update_mask { paths: '*' }"),
                                                   {"post.title", "post.user_id"}));
  ExpectAllRefused(pair(), cases);
  EXPECT_EQ(Stored(), before);
}

// A path is the client's text and may be cut for the error, but not within a character, because such an error could not
// be decoded.
TEST_P(ApiBadInput, LongMaskPathsGiveAnErrorThatCanBeRead) {
  for (int shift = 0; shift < 4; ++shift) {
    user::v1::UpdateUserRequest request;
    request.mutable_user()->set_id(1);
    std::set<std::string> fields;
    for (int i = 0; i < 20; ++i) {
      request.mutable_update_mask()->add_paths(Repeat("x", shift) + Repeat(kSmile, 800));
      fields.insert(absl::StrCat("update_mask.paths[", i, "]"));
    }
    ExpectBadFields(Send(pair(), request).status, fields);
  }
}

TEST_P(ApiBadInput, Actions) {
  const int64_t user = pair().CreateUser(NewName());
  const std::string before = Stored();
  std::vector<BadInput> cases;
  for (const int action : {3, 4, 99, -1}) {
    for (const char* more : {"", "validate_only: true", "allow_missing: true"}) {
      user::v1::DeleteUserRequest request = FromText<user::v1::DeleteUserRequest>(more);
      request.set_id(user);
      request.set_on_delete(static_cast<::relation::v1::ReferentialAction>(action));
      cases.push_back(Bad(request, {"on_delete"}));
    }
    auto release = FromText<::relation::v1::ReleaseReferencedRequest>(
        "type: 'user.v1.User' id: 1 uid: '00000000-0000-4000-8000-000000000001' deletion_id: 1 overrides { "
        "relationship: 'post.v1.Post.user_id' }");
    release.mutable_overrides(0)->set_action(static_cast<::relation::v1::ReferentialAction>(action));
    cases.push_back(Bad(release, {"overrides[0].action"}));
  }
  ExpectAllRefused(pair(), cases);
  EXPECT_EQ(Stored(), before);
}

TEST_P(ApiBadInput, EveryBadFieldIsNamed) {
  const std::string before = Stored();
  ExpectAllRefused(
      pair(), {
                  Bad<user::v1::UpdateUserRequest>("", {"user.id"}),
                  Bad<user::v1::UpdateUserRequest>(
                      "update_mask { paths: ['*', 'x', 'uid'] }",
                      {"user.id", "user.username", "update_mask.paths[1]", "update_mask.paths[2]"}),
                  Bad<user::v1::DeleteUserRequest>("on_delete: REFERENTIAL_ACTION_SET_NULL", {"id", "on_delete"}),
                  Bad<post::v1::CreatePostRequest>("", {"title", "user_id"}),
                  Bad<post::v1::CreatePostRequest>("content: '\\000' user_id: -1", {"title", "content", "user_id"}),
                  Bad<post::v1::BatchCreatePostsRequest>(
                      "requests { title: 'a' user_id: 1 } requests { user_id: 1 } requests { title: 'a' }",
                      {"requests[1].title", "requests[2].user_id"}),
                  Bad<post::v1::ListPostsRequest>("user_id: -1 page_size: -1", {"user_id", "page_size"}),
                  Bad<post::v1::UpdatePostRequest>(
                      "post { content: '\\000' title: '\\n' } update_mask { paths: ['*', 'x'] }",
                      {"post.id", "post.title", "post.content", "post.user_id", "update_mask.paths[1]"}),
                  Bad<::relation::v1::LookupReferencedRequest>("type: 'post.v1.Post'", {"type", "ids"}),
                  Bad<::relation::v1::ReleaseReferencedRequest>("type: 'x'", {"type"}),
                  Bad<::relation::v1::ReleaseReferencedRequest>("type: 'user.v1.User'", {"id", "uid", "deletion_id"}),
              });
  EXPECT_EQ(Stored(), before);
}

// Here are so many bad fields that the error must leave some out to stay below 4 KB. It says how many there are besides
// the first.
TEST_P(ApiBadInput, TooManyBadFieldsAreCounted) {
  post::v1::BatchCreatePostsRequest request;
  for (int i = 0; i < 1000; ++i) request.add_requests();
  const grpc::Status status = Send(pair(), request).status;
  EXPECT_THAT(status, GrpcError(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_FIELD"));
  EXPECT_EQ(DetailOf<google::rpc::BadRequest>(status)->field_violations_size(), 20);
  EXPECT_EQ(MetadataOf(status)["more"], "1999");
}

// gRPC refuses texts that are not UTF-8 before any handler runs.
TEST_P(ApiBadInput, InvalidUtf8IsRefusedByGrpc) {
  const google::protobuf::LogSilencer quiet;  // the client's Protobuf complains too, but sends them
  const int64_t user = pair().CreateUser(NewName());
  const int64_t post = pair().CreatePost(user);
  const std::string before = Stored();
  for (const std::string bytes : {"\xff", "a\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80"}) {
    const std::vector<Carrier> carriers = {
        By<user::v1::CreateUserRequest>("username", "username: 'TEXT'"),
        By<user::v1::ListUsersRequest>("username", "username: 'TEXT'"),
        By<user::v1::ListUsersRequest>("page_token", "page_token: 'TEXT'"),
        By<user::v1::UpdateUserRequest>("user.username", absl::StrCat("user { id: ", user, " username: 'TEXT' }")),
        By<user::v1::DeleteUserRequest>("etag", absl::StrCat("id: ", user, " etag: 'TEXT'")),
        By<post::v1::CreatePostRequest>("title", absl::StrCat("user_id: ", user, " title: 'TEXT'")),
        By<post::v1::CreatePostRequest>("content", absl::StrCat("user_id: ", user, " title: 'a' content: 'TEXT'")),
        By<post::v1::UpdatePostRequest>("post.title", absl::StrCat("post { id: ", post, " title: 'TEXT' }")),
    };
    for (const Carrier& carrier : carriers) {
      SCOPED_TRACE(absl::StrCat(carrier.field, ": ", absl::CEscape(bytes)));
      const grpc::Status status = carrier.send(pair(), bytes);
      EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
      EXPECT_EQ(status.error_details(), "");
    }
  }
  EXPECT_EQ(Stored(), before);
  EXPECT_THAT(pair().TryGetUser(user), GrpcOk());
  EXPECT_THAT(pair().TryGetPost(post), GrpcOk());
}

TEST_P(ApiBadInput, ARequestAboveTheLimitIsRefusedByGrpc) {
  const int64_t user = pair().CreateUser(NewName());
  post::v1::CreatePostRequest request;
  request.set_user_id(user);
  request.set_title("a");
  request.set_content(Repeat("x", 4 * 1024 * 1024));
  const grpc::Status status = Send(pair(), request).status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.error_details(), "");
  EXPECT_THAT(pair().TryCreatePost(user), GrpcOk());
}

// The internal listener lets the other service read users, and has no other method of the public service.
TEST_P(ApiBadInput, TheInternalListenerHasNoOtherMethodsOfUserService) {
  using user::v1::UserService;
  UserService::Stub& stub = pair().internal_users();
  const auto request = FromText<user::v1::CreateUserRequest>("username: 'internal'");
  const grpc::Status status = Ask(stub, &UserService::Stub::CreateUser, request).status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(status.error_details(), "");
  const auto ids = FromText<user::v1::BatchGetUsersRequest>("ids: 4000000000");
  EXPECT_THAT(Ask(stub, &UserService::Stub::BatchGetUsers, ids).status, GrpcOk());
  ExpectBadFields(Ask(stub, &UserService::Stub::BatchGetUsers, user::v1::BatchGetUsersRequest()).status, {"ids"});
}

}  // namespace
}  // namespace crosskey::testing
