// Sends texts that must be accepted, and come back as they were sent.
#include "absl/strings/escaping.h"
#include "tests/integration/api_client.h"

namespace crosskey::testing {
namespace {

class ApiTexts : public ApiTest {};
CROSSKEY_ON_EVERY_DATABASE(ApiTexts);

const std::string kSmile = "\U0001F600";

// Texts that are valid as a username and as a title.
std::vector<std::string> HostileNames() {
  return {
      Repeat("a", 50),
      Repeat("é", 50),
      Repeat(kSmile, 50),
      "O'Brien",
      "''",
      "\"quoted\"",
      "`quoted`",
      "back\\slash",
      "\\",
      "\\'",
      "'; DROP TABLE users; --",
      ":name",
      "a:p0 :1 ::",
      "?",
      "{update}",
      "--",
      "/* x */",
      "#",
      "%",
      "_",
      "%s%n",
      "NULL",
      "0",
      "inner white \u00a0\u3000 space",
      "\u0645\u0631\u062d\u0628\u0627",                              // right to left
      "\u202eabc",                                                   // right-to-left override
      "\U0001F469\u200d\U0001F469\u200d\U0001F467\u200d\U0001F466",  // four people, one glyph
      "\u200bzero width \u200b",                                     // not white space in Unicode
      "\ufeffbyte order mark",
      "\uffff",
      "\U0010ffff",
      "\u4e2d\u6587",
  };
}

TEST_P(ApiTexts, UsernamesAreStoredVerbatim) {
  for (const std::string& name : HostileNames()) {
    SCOPED_TRACE(absl::CEscape(name));
    user::v1::CreateUserRequest create;
    create.set_username(name);
    const auto created = Send(pair(), create);
    ASSERT_THAT(created.status, GrpcOk());
    EXPECT_EQ(created->user().username(), name);
    EXPECT_EQ(GetUser(pair(), created->user().id()).username(), name);

    user::v1::ListUsersRequest list;
    list.set_username(name);
    const auto found = Send(pair(), list);
    ASSERT_EQ(found->users_size(), 1);
    EXPECT_EQ(found->users(0).id(), created->user().id());

    user::v1::UpdateUserRequest update;
    update.mutable_user()->set_id(created->user().id());
    update.mutable_user()->set_username(NewName());
    EXPECT_THAT(Send(pair(), update).status, GrpcOk());
    EXPECT_EQ(Send(pair(), list)->users_size(), 0);

    update.mutable_user()->set_id(pair().CreateUser(NewName()));
    update.mutable_user()->set_username(name);
    const auto updated = Send(pair(), update);
    ASSERT_THAT(updated.status, GrpcOk());
    EXPECT_EQ(updated->user().username(), name);
    EXPECT_EQ(GetUser(pair(), updated->user().id()).username(), name);
  }
}

// Makes posts with this title and content in each way that there is, and reads them.
void ExpectVerbatim(Pair& pair, int64_t user, const std::string& title, const std::string& content) {
  post::v1::CreatePostRequest create;
  create.set_user_id(user);
  create.set_title(title);
  create.set_content(content);
  post::v1::BatchCreatePostsRequest batch;
  *batch.add_requests() = create;
  post::v1::UpdatePostRequest update;
  update.mutable_post()->set_id(pair.CreatePost(user));
  update.mutable_post()->set_title(title);
  update.mutable_post()->set_content(content);
  update.mutable_update_mask()->add_paths("title");
  update.mutable_update_mask()->add_paths("content");

  const auto created = Send(pair, create);
  const auto created_in_batch = Send(pair, batch);
  const auto updated = Send(pair, update);
  ASSERT_THAT(created.status, GrpcOk());
  ASSERT_THAT(created_in_batch.status, GrpcOk());
  ASSERT_THAT(updated.status, GrpcOk());
  for (const post::v1::Post& answered : {created->post(), created_in_batch->posts(0), updated->post()}) {
    EXPECT_EQ(answered.title(), title);
    EXPECT_EQ(answered.content(), content);
    const post::v1::Post read = GetPost(pair, answered.id());
    EXPECT_EQ(read.title(), title);
    EXPECT_EQ(read.content(), content);
  }
}

TEST_P(ApiTexts, TitlesAreStoredVerbatim) {
  const int64_t user = pair().CreateUser(NewName());
  std::vector<std::string> titles = HostileNames();
  for (const std::string& more : {Repeat("a", 100), Repeat("é", 100), Repeat(kSmile, 100), std::string(" "),
                                  std::string(" \u3000title \u00a0 "), std::string("\u2028a\u2029")}) {
    titles.push_back(more);
  }
  for (const std::string& title : titles) {
    SCOPED_TRACE(absl::CEscape(title));
    ExpectVerbatim(pair(), user, title, "");
  }
}

TEST_P(ApiTexts, ContentsAreStoredVerbatim) {
  const int64_t user = pair().CreateUser(NewName());
  std::vector<std::string> contents = HostileNames();
  for (const std::string& more :
       {std::string("a\r\nb\n\tc\n"), std::string("\x01\x02\x1a\x1b\x7f"), std::string("\u0080\u0085\u009f"),
        std::string("  "), Repeat("x", 65'535), Repeat(kSmile, 16'383) + "xyz", Repeat("'\\", 30'000)}) {
    contents.push_back(more);
  }
  for (const std::string& content : contents) {
    SCOPED_TRACE(absl::CEscape(content.substr(0, 200)));
    ExpectVerbatim(pair(), user, "title", content);
  }
}

// Names are compared byte by byte, so all of these differ, on every database and whatever its collations.
TEST_P(ApiTexts, UsernamesAreComparedByteByByte) {
  const std::vector<std::string> distinct = {"a",
                                             "A",
                                             "\u00e1",
                                             "a\u0301",
                                             "\u00e9",
                                             "e\u0301",
                                             "e",
                                             "ss",
                                             "\u00df",
                                             "SS",
                                             "i",
                                             "I",
                                             "\u0130",
                                             "\u0131",
                                             "\uff41",
                                             "k",
                                             "\u212a",
                                             "ae",
                                             "\u00e6",
                                             "\u00ad"
                                             "a",
                                             "\u200b"
                                             "a"};
  std::map<std::string, int64_t> ids;
  for (const std::string& name : distinct) {
    ids[name] = pair().CreateUser(name);
  }
  ASSERT_EQ(ids.size(), distinct.size());
  for (const auto& [name, id] : ids) {
    SCOPED_TRACE(absl::CEscape(name));
    user::v1::CreateUserRequest again;
    again.set_username(name);
    EXPECT_THAT(Send(pair(), again).status, GrpcError(grpc::StatusCode::ALREADY_EXISTS, "USERNAME_TAKEN"));
    user::v1::ListUsersRequest list;
    list.set_username(name);
    const auto found = Send(pair(), list);
    ASSERT_EQ(found->users_size(), 1);
    EXPECT_EQ(found->users(0).id(), id);
  }
}

// The filter is not a pattern. A text that cannot be a username finds nothing.
TEST_P(ApiTexts, AFilterThatIsNoUsernameFindsNothing) {
  pair().CreateUser("filtered");
  for (const std::string& name :
       {std::string("filtered "), std::string(" filtered"), std::string("FILTERED"), std::string("filter%"),
        std::string("filtere_"), std::string("filtered\0", 9), std::string("filtered\0x", 10), std::string("' OR ''='"),
        std::string("filtered\n"), Repeat(kSmile, 15'000)}) {
    user::v1::ListUsersRequest list;
    list.set_username(name);
    const auto found = Send(pair(), list);
    EXPECT_THAT(found.status, GrpcOk()) << absl::CEscape(name.substr(0, 20));
    EXPECT_EQ(found->users_size(), 0) << absl::CEscape(name.substr(0, 20));
  }
}

}  // namespace
}  // namespace crosskey::testing
