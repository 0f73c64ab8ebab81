// What UserService promises about the post that a user pins. This relationship has the other direction: post-service
// owns what is referred to.
#include "absl/strings/str_cat.h"
#include "tests/integration/api_client.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using post::v1::DeletePostRequest;
using ::testing::ElementsAre;
using user::v1::UpdateUserRequest;

class ApiPins : public ApiTest {
 protected:
  Answer<user::v1::UpdateUserResponse> Update(const std::string& text) { return Send<UpdateUserRequest>(pair(), text); }
  grpc::Status Pin(int64_t user, int64_t post) {
    return Update(absl::StrCat("user { id: ", user, " pinned_post_id: ", post, " }")).status;
  }
  int64_t NewUser() { return pair().CreateUser(NewName()); }
  // The post that the user has pinned; 0: none.
  int64_t PinOf(int64_t user) {
    const user::v1::User read = GetUser(pair(), user);
    EXPECT_EQ(read.has_pinned_post_id(), read.pinned_post_id() != 0);
    return read.pinned_post_id();
  }
  bool AwaitNoPin(int64_t user) {
    return WaitFor([&] { return PinOf(user) == 0; });
  }
};
CROSSKEY_ON_EVERY_DATABASE(ApiPins);

TEST_P(ApiPins, AnyUserPinsAnyPostAndAnotherOneReplacesIt) {
  const int64_t author = NewUser();
  const int64_t ada = NewUser();
  const int64_t first = pair().CreatePost(author);
  const int64_t second = pair().CreatePost(author);
  EXPECT_EQ(PinOf(ada), 0);
  const auto pinned = Update(absl::StrCat("user { id: ", ada, " pinned_post_id: ", first, " }"));
  ASSERT_THAT(pinned.status, GrpcOk());
  EXPECT_EQ(pinned->user().pinned_post_id(), first);
  EXPECT_EQ(GetUser(pair(), ada).ShortDebugString(), pinned->user().ShortDebugString());

  const auto replaced = Update(absl::StrCat("user { id: ", ada, " pinned_post_id: ", second, " }"));
  EXPECT_EQ(replaced->user().pinned_post_id(), second);
  EXPECT_NE(replaced->user().etag(), pinned->user().etag());
  const auto same = Update(absl::StrCat("user { id: ", ada, " pinned_post_id: ", second, " }"));
  EXPECT_EQ(same->user().ShortDebugString(), replaced->user().ShortDebugString()) << "no change";
  EXPECT_THAT(Pin(author, first), GrpcOk()) << "the post is free again";

  const auto batch = Send<user::v1::BatchGetUsersRequest>(pair(), absl::StrCat("ids: [", ada, ",", author, "]"));
  EXPECT_EQ(batch->users(0).pinned_post_id(), second);
  EXPECT_EQ(batch->users(1).pinned_post_id(), first);
}

TEST_P(ApiPins, TheMaskDecidesWhetherAnAbsentPinIsRemoved) {
  const int64_t ada = NewUser();
  const int64_t post = pair().CreatePost(ada);
  EXPECT_THAT(Pin(ada, post), GrpcOk());
  EXPECT_THAT(Update(absl::StrCat("user { id: ", ada, " username: '", NewName(), "' }")).status, GrpcOk());
  EXPECT_EQ(PinOf(ada), post) << "not populated, not in a mask";
  EXPECT_THAT(
      Update(absl::StrCat("user { id: ", ada, " username: '", NewName(), "' } update_mask { paths: 'username' }"))
          .status,
      GrpcOk());
  EXPECT_EQ(PinOf(ada), post);
  const auto removed = Update(absl::StrCat("user { id: ", ada, " } update_mask { paths: 'pinned_post_id' }"));
  EXPECT_THAT(removed.status, GrpcOk());
  EXPECT_FALSE(removed->user().has_pinned_post_id());
  EXPECT_EQ(PinOf(ada), 0);

  EXPECT_THAT(Pin(ada, post), GrpcOk());
  EXPECT_THAT(
      Update(absl::StrCat("user { id: ", ada, " username: '", NewName(), "' } update_mask { paths: '*' }")).status,
      GrpcOk());
  EXPECT_EQ(PinOf(ada), 0) << "all mutable fields";
}

TEST_P(ApiPins, APostIsPinnedByOneUser) {
  const int64_t ada = NewUser();
  const int64_t grace = NewUser();
  const int64_t post = pair().CreatePost(ada);
  EXPECT_THAT(Pin(ada, post), GrpcOk());
  const grpc::Status taken = Pin(grace, post);
  ExpectError(taken, {grpc::StatusCode::ALREADY_EXISTS,
                      "ALREADY_PINNED",
                      {"ResourceInfo"},
                      {{"relationship", "user.v1.User.pinned_post_id"}, {"resource", absl::StrCat("posts/", post)}}});
  EXPECT_EQ(PinOf(grace), 0);
  // Another change in the same call is not made either. If the name is taken as well, the error is about the name.
  const std::string name = GetUser(pair(), grace).username();
  EXPECT_THAT(
      Update(absl::StrCat("user { id: ", grace, " username: '", NewName(), "' pinned_post_id: ", post, " }")).status,
      GrpcError(grpc::StatusCode::ALREADY_EXISTS, "ALREADY_PINNED"));
  EXPECT_EQ(GetUser(pair(), grace).username(), name);
  EXPECT_THAT(Update(absl::StrCat("user { id: ", grace, " username: '", GetUser(pair(), ada).username(),
                                  "' pinned_post_id: ", post, " }"))
                  .status,
              GrpcError(grpc::StatusCode::ALREADY_EXISTS, "USERNAME_TAKEN"));
  // After the deletion of the user and its post, the other user can pin a post.
  pair().Delete(ada);
  const int64_t free = pair().CreatePost(grace);
  EXPECT_THAT(Pin(grace, free), GrpcOk());
}

TEST_P(ApiPins, OfAMissingPostIsAForeignKeyViolation) {
  const int64_t ada = NewUser();
  ExpectError(Pin(ada, kNoSuchId),
              {grpc::StatusCode::FAILED_PRECONDITION,
               "FOREIGN_KEY_VIOLATION",
               {"PreconditionFailure", "ResourceInfo"},
               {{"relationship", "user.v1.User.pinned_post_id"}, {"resource", absl::StrCat("posts/", kNoSuchId)}}});
  const int64_t gone = pair().CreatePost(ada);
  EXPECT_THAT(Send<DeletePostRequest>(pair(), absl::StrCat("id: ", gone)).status, GrpcOk());
  EXPECT_THAT(Pin(ada, gone), GrpcError(grpc::StatusCode::FAILED_PRECONDITION, "FOREIGN_KEY_VIOLATION"));
  const int64_t author = NewUser();
  const int64_t with_author = pair().CreatePost(author);
  pair().Delete(author);
  EXPECT_THAT(Pin(ada, with_author), GrpcError(grpc::StatusCode::FAILED_PRECONDITION, "FOREIGN_KEY_VIOLATION"));
  EXPECT_THAT(Pin(kNoSuchId, pair().CreatePost(ada)), GrpcError(grpc::StatusCode::NOT_FOUND, "USER_NOT_FOUND"));
  for (const char* bad : {"0", "-1"}) {
    ExpectBadFields(Update(absl::StrCat("user { id: ", ada, " pinned_post_id: ", bad, " }")).status,
                    {"user.pinned_post_id"});
  }
}

TEST_P(ApiPins, ADeletedPostClearsItsPinAndNothingElse) {
  const int64_t author = NewUser();
  const int64_t ada = NewUser();
  const int64_t post = pair().CreatePost(author);
  EXPECT_THAT(Pin(ada, post), GrpcOk());
  user::v1::User expected = GetUser(pair(), ada);
  EXPECT_THAT(Send<DeletePostRequest>(pair(), absl::StrCat("id: ", post)).status, GrpcOk());
  EXPECT_TRUE(AwaitNoPin(ada));
  expected.clear_pinned_post_id();
  EXPECT_EQ(GetUser(pair(), ada).ShortDebugString(), expected.ShortDebugString());
  EXPECT_THAT(Pin(ada, post), GrpcError(grpc::StatusCode::FAILED_PRECONDITION, "FOREIGN_KEY_VIOLATION"));
  EXPECT_THAT(Pin(ada, pair().CreatePost(author)), GrpcOk());
}

TEST_P(ApiPins, ACascadeClearsThePinsOfAllItsPosts) {
  const int64_t author = NewUser();
  const std::vector<int64_t> posts = pair().CreatePosts(author, 1500);
  std::vector<int64_t> fans;
  for (size_t i = 0; i < posts.size(); i += 300) {
    fans.push_back(NewUser());
    EXPECT_THAT(Pin(fans.back(), posts[i]), GrpcOk());
  }
  EXPECT_THAT(Pin(author, posts[1]), GrpcOk()) << "deleted together with its pin";
  pair().Delete(author);
  for (const int64_t fan : fans) EXPECT_TRUE(AwaitNoPin(fan));
  pair().AwaitState(author, user::v1::DELETION_STATE_COMPLETED);
  pair().AwaitQuiet();
  EXPECT_EQ(pair().Orphans(), 0);
  EXPECT_EQ(pair().user_db().Number("SELECT COUNT(*) FROM users WHERE pinned_post_id IN (SELECT id FROM post_refs "
                                    "WHERE state <> 1)"),
            0);
}

// Each of these tests has a pair of its own.
class PinsInDeletion : public DatabaseTest {
 protected:
  static grpc::Status Pin(Pair& pair, int64_t user, int64_t post) {
    return Send<UpdateUserRequest>(pair, absl::StrCat("user { id: ", user, " pinned_post_id: ", post, " }")).status;
  }
};
CROSSKEY_ON_EVERY_DATABASE(PinsInDeletion);

TEST_P(PinsInDeletion, APinReadsAsAbsentFromTheReleaseOnAndIsClearedByTheReclaim) {
  Pair pair(GetParam());
  const int64_t ada = pair.CreateUser("ada");
  const int64_t grace = pair.CreateUser("grace");
  const int64_t post = pair.CreatePost(ada);
  EXPECT_THAT(Pin(pair, ada, post), GrpcOk());
  pair.hold_reclaim = true;
  EXPECT_THAT(Send<DeletePostRequest>(pair, absl::StrCat("id: ", post)).status, GrpcOk());
  EXPECT_TRUE(WaitFor([&] { return !GetUser(pair, ada).has_pinned_post_id(); }));
  EXPECT_EQ(pair.user_db().Number("SELECT COUNT(*) FROM users WHERE pinned_post_id IS NOT NULL"), 1) << "hidden";
  EXPECT_THAT(Pin(pair, grace, post), GrpcError(grpc::StatusCode::FAILED_PRECONDITION, "FOREIGN_KEY_VIOLATION"));
  // The user can still be changed, and removing the pin that is not there any more is no error.
  EXPECT_THAT(
      Send<UpdateUserRequest>(pair, absl::StrCat("user { id: ", ada, " } update_mask { paths: 'pinned_post_id' }"))
          .status,
      GrpcOk());
  EXPECT_THAT(Send<UpdateUserRequest>(pair, absl::StrCat("user { id: ", ada, " username: 'ada l' }")).status, GrpcOk());
  pair.hold_reclaim = false;
  pair.AwaitQuiet();
  EXPECT_EQ(pair.user_db().Number("SELECT COUNT(*) FROM post_refs"), 0);
  EXPECT_EQ(pair.Orphans(), 0);
}

TEST_P(PinsInDeletion, WithoutPostServiceKnownPostsCanBePinnedAndUnknownOnesNot) {
  Pair pair(GetParam());
  const int64_t ada = pair.CreateUser("ada");
  const int64_t grace = pair.CreateUser("grace");
  const int64_t known = pair.CreatePost(ada);
  const int64_t unknown = pair.CreatePost(ada);
  EXPECT_THAT(Pin(pair, ada, known), GrpcOk());
  EXPECT_THAT(
      Send<UpdateUserRequest>(pair, absl::StrCat("user { id: ", ada, " } update_mask { paths: 'pinned_post_id' }"))
          .status,
      GrpcOk());
  pair.StopPosts();
  EXPECT_THAT(Pin(pair, grace, known), GrpcOk()) << "no call was needed";
  EXPECT_THAT(Pin(pair, ada, unknown), GrpcError(grpc::StatusCode::UNAVAILABLE, "PEER_UNAVAILABLE"));
  EXPECT_FALSE(GetUser(pair, ada).has_pinned_post_id());
  pair.StartPosts();
  EXPECT_THAT(Pin(pair, ada, unknown), GrpcOk());
}

TEST_P(PinsInDeletion, AUserWhoseDeletionIsUndecidedPinsNothing) {
  Pair pair(GetParam());
  const int64_t ada = pair.CreateUser("ada");
  const int64_t post = pair.CreatePost(ada);
  pair.hold_recovery = true;
  pair.user_db().Run(absl::StrCat("UPDATE users SET state = 2 WHERE id = ", ada));
  EXPECT_THAT(Pin(pair, ada, post), GrpcError(grpc::StatusCode::ABORTED, "PARENT_DELETING"));
}

TEST_P(PinsInDeletion, AClearedPinIsPublished) {
  Pair pair(GetParam());
  const int64_t ada = pair.CreateUser("ada");
  const int64_t post = pair.CreatePost(ada);
  EXPECT_THAT(Pin(pair, ada, post), GrpcOk());
  EXPECT_THAT(Send<DeletePostRequest>(pair, absl::StrCat("id: ", post)).status, GrpcOk());
  EXPECT_TRUE(WaitFor([&] {
    return pair.user_db().Number("SELECT COUNT(*) FROM outbox WHERE type = 'user.v1.UserUpdated'") == 2;
  })) << "one when it was pinned, one when the post was deleted";
}

}  // namespace
}  // namespace crosskey::testing
