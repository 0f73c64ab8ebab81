// What PostService promises about likes.
#include "absl/strings/str_cat.h"
#include "tests/integration/api_client.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using post::v1::DeletePostRequest;
using post::v1::LikePostRequest;
using post::v1::ListLikedPostsRequest;
using post::v1::ListPostLikesRequest;
using post::v1::UnlikePostRequest;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ApiLikes : public ApiTest {
 protected:
  grpc::Status Like(int64_t post, int64_t user) {
    return Send<LikePostRequest>(pair(), absl::StrCat("post_id: ", post, " user_id: ", user)).status;
  }
  grpc::Status Unlike(int64_t post, int64_t user) {
    return Send<UnlikePostRequest>(pair(), absl::StrCat("post_id: ", post, " user_id: ", user)).status;
  }
  grpc::Status DeletePost(int64_t post) { return Send<DeletePostRequest>(pair(), absl::StrCat("id: ", post)).status; }
  int64_t NewUser() { return pair().CreateUser(NewName()); }
  int64_t CountOf(int64_t post) { return GetPost(pair(), post).like_count(); }
  std::vector<int64_t> Likers(int64_t post) {
    const auto answer = Send<ListPostLikesRequest>(pair(), absl::StrCat("post_id: ", post));
    EXPECT_THAT(answer.status, GrpcOk());
    std::vector<int64_t> users;
    for (const auto& like : answer->likes()) users.push_back(like.user_id());
    return users;
  }
  std::vector<int64_t> Liked(int64_t user) {
    const auto answer = Send<ListLikedPostsRequest>(pair(), absl::StrCat("user_id: ", user));
    EXPECT_THAT(answer.status, GrpcOk());
    return Ids(answer->posts());
  }
};
CROSSKEY_ON_EVERY_DATABASE(ApiLikes);

TEST_P(ApiLikes, ALikeIsSeenFromBothEndsAndCounted) {
  const int64_t author = NewUser();
  const int64_t ada = NewUser();
  const int64_t grace = NewUser();
  const int64_t first = pair().CreatePost(author);
  const int64_t second = pair().CreatePost(author);
  EXPECT_EQ(CountOf(first), 0);
  EXPECT_THAT(Like(first, grace), GrpcOk());
  EXPECT_THAT(Like(first, ada), GrpcOk());
  EXPECT_THAT(Like(second, ada), GrpcOk());
  EXPECT_THAT(Like(second, author), GrpcOk());

  EXPECT_THAT(Likers(first), ElementsAre(ada, grace));
  EXPECT_THAT(Liked(ada), ElementsAre(first, second));
  EXPECT_THAT(Liked(grace), ElementsAre(first));
  EXPECT_EQ(CountOf(first), 2);
  const auto likes = Send<ListPostLikesRequest>(pair(), absl::StrCat("post_id: ", first));
  EXPECT_EQ(likes->likes(0).post_id(), first);
  EXPECT_GT(likes->likes(0).create_time().seconds(), 1'600'000'000);

  EXPECT_THAT(Unlike(first, ada), GrpcOk());
  EXPECT_THAT(Likers(first), ElementsAre(grace));
  EXPECT_THAT(Liked(ada), ElementsAre(second));
  EXPECT_EQ(CountOf(first), 1);
}

TEST_P(ApiLikes, TwiceIsOnceAndLeavesThePostAsItIs) {
  const int64_t author = NewUser();
  const int64_t ada = NewUser();
  const int64_t id = pair().CreatePost(author);
  post::v1::Post before = GetPost(pair(), id);
  EXPECT_THAT(Like(id, ada), GrpcOk());
  const auto liked = Send<ListPostLikesRequest>(pair(), absl::StrCat("post_id: ", id));
  EXPECT_THAT(Like(id, ada), GrpcOk());
  const auto again = Send<ListPostLikesRequest>(pair(), absl::StrCat("post_id: ", id));
  EXPECT_EQ(again->ShortDebugString(), liked->ShortDebugString());
  before.set_like_count(1);
  EXPECT_EQ(GetPost(pair(), id).ShortDebugString(), before.ShortDebugString());

  EXPECT_THAT(Unlike(id, ada), GrpcOk());
  EXPECT_THAT(Unlike(id, ada), GrpcOk());
  EXPECT_EQ(CountOf(id), 0);
}

TEST_P(ApiLikes, OfNobodyOrOfNothingIsAForeignKeyViolation) {
  const int64_t author = NewUser();
  const int64_t id = pair().CreatePost(author);
  const auto code = grpc::StatusCode::FAILED_PRECONDITION;
  const std::vector<std::string> details = {"PreconditionFailure", "ResourceInfo"};
  ExpectError(Like(kNoSuchId, author),
              {code,
               "FOREIGN_KEY_VIOLATION",
               details,
               {{"relationship", "post.v1.Like.post_id"}, {"resource", absl::StrCat("posts/", kNoSuchId)}}});
  ExpectError(Like(id, kNoSuchId),
              {code,
               "FOREIGN_KEY_VIOLATION",
               details,
               {{"relationship", "post.v1.Like.user_id"}, {"resource", absl::StrCat("users/", kNoSuchId)}}});
  EXPECT_EQ(CountOf(id), 0);

  EXPECT_THAT(DeletePost(id), GrpcOk());
  EXPECT_THAT(Like(id, author), GrpcError(code, "FOREIGN_KEY_VIOLATION"));
}

TEST_P(ApiLikes, TakingBackWhatIsNotThereIsNoErrorWhateverIsMissing) {
  const int64_t author = NewUser();
  const int64_t id = pair().CreatePost(author);
  EXPECT_THAT(Unlike(id, author), GrpcOk());
  EXPECT_THAT(Unlike(id, kNoSuchId), GrpcOk());
  EXPECT_THAT(Unlike(kNoSuchId, author), GrpcOk());
  EXPECT_THAT(Unlike(kNoSuchId, kNoSuchId), GrpcOk());
}

TEST_P(ApiLikes, ListsOfUnknownThings) {
  EXPECT_THAT(Send<ListPostLikesRequest>(pair(), absl::StrCat("post_id: ", kNoSuchId)).status,
              GrpcError(grpc::StatusCode::NOT_FOUND, "POST_NOT_FOUND"));
  EXPECT_THAT(Liked(kNoSuchId), IsEmpty());
}

TEST_P(ApiLikes, BadFieldsAreNamed) {
  ExpectBadFields(Send<LikePostRequest>(pair(), "request_id: 'x'").status, {"post_id", "user_id", "request_id"});
  ExpectBadFields(Send<UnlikePostRequest>(pair(), "post_id: -1 user_id: -1").status, {"post_id", "user_id"});
  ExpectBadFields(Send<ListPostLikesRequest>(pair(), "page_size: -1").status, {"post_id", "page_size"});
  ExpectBadFields(Send<ListLikedPostsRequest>(pair(), "page_size: -1").status, {"user_id", "page_size"});
}

TEST_P(ApiLikes, PagesGoOnWhereTheLastOneEnded) {
  const int64_t author = NewUser();
  const int64_t fan = NewUser();
  const int64_t first = pair().CreatePost(author);
  std::vector<int64_t> likers;
  std::vector<int64_t> posts;
  for (int i = 0; i < 5; ++i) {
    likers.push_back(NewUser());
    EXPECT_THAT(Like(first, likers.back()), GrpcOk());
    posts.push_back(pair().CreatePost(author));
    EXPECT_THAT(Like(posts.back(), fan), GrpcOk());
  }
  std::string token;
  std::vector<int64_t> seen;
  do {
    const auto page =
        Send<ListPostLikesRequest>(pair(), absl::StrCat("post_id: ", first, " page_size: 2 page_token: '", token, "'"));
    ASSERT_THAT(page.status, GrpcOk());
    EXPECT_LE(page->likes_size(), 2);
    for (const auto& like : page->likes()) seen.push_back(like.user_id());
    token = page->next_page_token();
  } while (!token.empty());
  EXPECT_EQ(seen, likers);

  seen.clear();
  do {
    const auto page =
        Send<ListLikedPostsRequest>(pair(), absl::StrCat("user_id: ", fan, " page_size: 3 page_token: '", token, "'"));
    ASSERT_THAT(page.status, GrpcOk());
    for (const int64_t id : Ids(page->posts())) seen.push_back(id);
    token = page->next_page_token();
    if (token.empty()) break;
    // A token is bound to the user, and to the method.
    const auto invalid = GrpcError(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_PAGE_TOKEN");
    EXPECT_THAT(
        Send<ListLikedPostsRequest>(pair(), absl::StrCat("user_id: ", author, " page_token: '", token, "'")).status,
        invalid);
    EXPECT_THAT(Send<ListPostLikesRequest>(pair(), absl::StrCat("post_id: ", fan, " page_token: '", token, "'")).status,
                invalid);
  } while (true);
  EXPECT_EQ(seen, posts);
}

TEST_P(ApiLikes, UsersAreIncludedOnRequest) {
  const int64_t author = NewUser();
  const int64_t fan = NewUser();
  const int64_t id = pair().CreatePost(author);
  EXPECT_THAT(Like(id, fan), GrpcOk());
  const auto likes = Send<ListPostLikesRequest>(pair(), absl::StrCat("post_id: ", id, " include_users: true"));
  ASSERT_EQ(likes->users().count(fan), 1u);
  EXPECT_EQ(likes->users().at(fan).ShortDebugString(), GetUser(pair(), fan).ShortDebugString());
  const auto posts = Send<ListLikedPostsRequest>(pair(), absl::StrCat("user_id: ", fan, " include_users: true"));
  ASSERT_EQ(posts->users().count(author), 1u) << "the authors";
  EXPECT_EQ(posts->posts(0).like_count(), 1);
}

// The tests below hold the reclaim, so each has a pair of its own.
class LikesInDeletion : public DatabaseTest {
 protected:
  LikesInDeletion() : pair_(GetParam()) {}

  void Like(int64_t post, int64_t user) {
    EXPECT_THAT(Send<LikePostRequest>(pair_, absl::StrCat("post_id: ", post, " user_id: ", user)).status, GrpcOk());
  }
  Answer<post::v1::ListPostLikesResponse> Likers(int64_t post) {
    return Send<ListPostLikesRequest>(pair_, absl::StrCat("post_id: ", post));
  }
  std::vector<int64_t> Liked(int64_t user) {
    return Ids(Send<ListLikedPostsRequest>(pair_, absl::StrCat("user_id: ", user))->posts());
  }
  void Settle() {
    pair_.hold_reclaim = false;
    pair_.AwaitQuiet();
    EXPECT_EQ(pair_.Orphans(), 0);
  }

  Pair pair_;
};
CROSSKEY_ON_EVERY_DATABASE(LikesInDeletion);

TEST_P(LikesInDeletion, ThoseOfADeletedUserVanishAtOnceFromEveryListAndEveryCount) {
  const int64_t author = pair_.CreateUser("author");
  const int64_t fan = pair_.CreateUser("fan");
  const int64_t other = pair_.CreateUser("other");
  const int64_t post = pair_.CreatePost(author);
  Like(post, fan);
  Like(post, other);
  pair_.hold_reclaim = true;
  EXPECT_EQ(pair_.Delete(fan).state(), user::v1::DELETION_STATE_RECLAIMING);
  EXPECT_EQ(pair_.post_db().Number("SELECT COUNT(*) FROM likes"), 2);
  EXPECT_EQ(GetPost(pair_, post).like_count(), 1);
  const auto likes = Likers(post);
  ASSERT_EQ(likes->likes_size(), 1);
  EXPECT_EQ(likes->likes(0).user_id(), other);
  EXPECT_THAT(Liked(fan), IsEmpty());
  // The answer of a change counts in the same way.
  const auto updated =
      Send<post::v1::UpdatePostRequest>(pair_, absl::StrCat("post { id: ", post, " title: 'changed' }"));
  EXPECT_EQ(updated->post().like_count(), 1);

  pair_.hold_reclaim = false;
  pair_.AwaitState(fan, user::v1::DELETION_STATE_COMPLETED);
  EXPECT_EQ(pair_.GetDeletion(fan).likes(), 1);
  EXPECT_EQ(GetPost(pair_, post).like_count(), 1);
  EXPECT_EQ(pair_.post_db().Number("SELECT like_count FROM posts"), 1);
  Settle();
}

// Of a post with more than ten likes they are looked for by the likes or by the deleted users, whichever are fewer.
TEST_P(LikesInDeletion, AreNotCountedWhicheverWayTheyAreFound) {
  const int64_t author = pair_.CreateUser("author");
  std::vector<int64_t> fans;
  for (int i = 0; i < 30; ++i) fans.push_back(pair_.CreateUser(NewName()));
  std::map<int64_t, int64_t> posts;  // and how many of the fans like it
  for (const int64_t likes : {5, 11, 30}) {
    const int64_t post = pair_.CreatePost(author);
    posts[post] = likes;
    for (int64_t i = 0; i < likes; ++i) Like(post, fans[static_cast<size_t>(i)]);
  }
  pair_.hold_reclaim = true;
  for (int64_t deleted = 0; deleted < 20;) {
    pair_.Delete(fans[static_cast<size_t>(deleted++)]);
    if (deleted != 2 && deleted != 11 && deleted != 20) continue;
    for (const auto& [post, likes] : posts) {
      EXPECT_EQ(GetPost(pair_, post).like_count(), std::max<int64_t>(0, likes - deleted)) << likes << " " << deleted;
    }
  }
  Settle();
}

TEST_P(LikesInDeletion, ThoseOfADeletedPostVanishWithIt) {
  const int64_t author = pair_.CreateUser("author");
  const int64_t fan = pair_.CreateUser("fan");
  const int64_t post = pair_.CreatePost(author);
  const int64_t kept = pair_.CreatePost(author);
  Like(post, fan);
  Like(kept, fan);
  pair_.hold_reclaim = true;
  EXPECT_THAT(Send<DeletePostRequest>(pair_, absl::StrCat("id: ", post)).status, GrpcOk());
  EXPECT_EQ(pair_.post_db().Number("SELECT COUNT(*) FROM likes"), 2) << "hidden, not removed";
  EXPECT_EQ(pair_.post_db().Number("SELECT COUNT(*) FROM posts"), 2);
  const auto not_found = GrpcError(grpc::StatusCode::NOT_FOUND, "POST_NOT_FOUND");
  EXPECT_THAT(pair_.TryGetPost(post), not_found);
  EXPECT_THAT(Likers(post).status, not_found);
  EXPECT_THAT(Liked(fan), ElementsAre(kept));
  EXPECT_THAT(pair_.ListPostIds(author), ElementsAre(kept));
  EXPECT_THAT(pair_.ListPostIds(0), ElementsAre(kept));
  EXPECT_THAT(Send<DeletePostRequest>(pair_, absl::StrCat("id: ", post)).status, not_found);
  EXPECT_THAT(Send<DeletePostRequest>(pair_, absl::StrCat("id: ", post, " allow_missing: true")).status, GrpcOk());
  Settle();
  EXPECT_EQ(pair_.post_db().Number("SELECT COUNT(*) FROM likes"), 1);
  EXPECT_EQ(pair_.post_db().Number("SELECT COUNT(*) FROM posts"), 1);
}

TEST_P(LikesInDeletion, APostOfADeletedAuthorIsLikedByNobody) {
  const int64_t author = pair_.CreateUser("author");
  const int64_t fan = pair_.CreateUser("fan");
  const int64_t post = pair_.CreatePost(author);
  Like(post, fan);
  pair_.hold_reclaim = true;
  pair_.Delete(author);
  EXPECT_THAT(Liked(fan), IsEmpty());
  EXPECT_THAT(Likers(post).status, GrpcError(grpc::StatusCode::NOT_FOUND, "POST_NOT_FOUND"));
  EXPECT_THAT(Send<LikePostRequest>(pair_, absl::StrCat("post_id: ", post, " user_id: ", fan)).status,
              GrpcError(grpc::StatusCode::FAILED_PRECONDITION, "FOREIGN_KEY_VIOLATION"));
  EXPECT_THAT(Send<UnlikePostRequest>(pair_, absl::StrCat("post_id: ", post, " user_id: ", fan)).status, GrpcOk());
  Settle();
}

// Both parents of one like are deleted, and each reclaim finds it.
TEST_P(LikesInDeletion, UserAndPostDeletedTogetherLeaveNothingBehind) {
  const int64_t author = pair_.CreateUser("author");
  const int64_t fan = pair_.CreateUser("fan");
  const int64_t kept = pair_.CreatePost(author);
  std::vector<int64_t> posts = pair_.CreatePosts(author, 30);
  for (const int64_t post : posts) {
    Like(post, fan);
    Like(post, author);
  }
  Like(kept, fan);
  pair_.hold_reclaim = true;
  for (size_t i = 0; i < posts.size(); i += 2) {
    EXPECT_THAT(Send<DeletePostRequest>(pair_, absl::StrCat("id: ", posts[i])).status, GrpcOk());
  }
  pair_.Delete(fan);
  EXPECT_EQ(GetPost(pair_, kept).like_count(), 0);
  EXPECT_EQ(GetPost(pair_, posts[1]).like_count(), 1);
  Settle();
  EXPECT_EQ(pair_.post_db().Number("SELECT COUNT(*) FROM likes"), 15);
  EXPECT_EQ(pair_.post_db().Number("SELECT SUM(like_count) FROM posts"), 15);
}

TEST_P(LikesInDeletion, NeitherLikesNorHiddenPostsRestrict) {
  const int64_t author = pair_.CreateUser("author");
  const int64_t fan = pair_.CreateUser("fan");
  const int64_t post = pair_.CreatePost(author);
  const int64_t own = pair_.CreatePost(fan);
  Like(post, fan);
  pair_.hold_reclaim = true;
  EXPECT_THAT(pair_.TryDelete(fan, ::relation::v1::REFERENTIAL_ACTION_RESTRICT),
              GrpcError(grpc::StatusCode::FAILED_PRECONDITION, "RESTRICTED"));
  EXPECT_THAT(Send<DeletePostRequest>(pair_, absl::StrCat("id: ", own)).status, GrpcOk());
  EXPECT_THAT(pair_.TryDelete(fan, ::relation::v1::REFERENTIAL_ACTION_RESTRICT), GrpcOk());
  EXPECT_EQ(GetPost(pair_, post).like_count(), 0);
  pair_.hold_reclaim = false;
  pair_.AwaitState(fan, user::v1::DELETION_STATE_COMPLETED);
  EXPECT_EQ(pair_.GetDeletion(fan).posts(), 0);
  EXPECT_EQ(pair_.GetDeletion(fan).likes(), 1);
  Settle();
}

TEST_P(LikesInDeletion, APreviewCountsPostsAndLikes) {
  const int64_t author = pair_.CreateUser("author");
  const int64_t own = pair_.CreatePosts(author, 3).front();
  Like(own, author);
  const auto preview = Send<user::v1::DeleteUserRequest>(pair_, absl::StrCat("id: ", author, " validate_only: true"));
  EXPECT_EQ(preview->deletion().posts(), 3);
  EXPECT_EQ(preview->deletion().likes(), 1);
  EXPECT_EQ(preview->deletion().state(), user::v1::DELETION_STATE_UNSPECIFIED);
}

}  // namespace
}  // namespace crosskey::testing
