// What PostService promises about single posts and batches; lists are in api_lists_test.cc.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/integration/api_client.h"

namespace crosskey::testing {
namespace {

using post::v1::DeletePostRequest;
using post::v1::UpdatePostRequest;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

constexpr auto kPrecondition = grpc::StatusCode::FAILED_PRECONDITION;

class ApiPosts : public ApiTest {
 protected:
  Answer<post::v1::UpdatePostResponse> Update(const std::string& text) { return Send<UpdatePostRequest>(pair(), text); }
  grpc::Status Delete(const std::string& text) { return Send<DeletePostRequest>(pair(), text).status; }
  std::string Stored(int64_t post) { return GetPost(pair(), post).ShortDebugString(); }
};
CROSSKEY_ON_EVERY_DATABASE(ApiPosts);

TEST_P(ApiPosts, ANewPostReadsAsItWasAnswered) {
  const int64_t user = pair().CreateUser(NewName());
  const auto created =
      Send<post::v1::CreatePostRequest>(pair(), absl::StrCat("title: 't' content: 'c' user_id: ", user));
  ASSERT_THAT(created.status, GrpcOk());
  const post::v1::Post& post = created->post();
  EXPECT_GT(post.id(), 0);
  EXPECT_THAT(post.uid(), MatchesRegex("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"));
  EXPECT_EQ(post.user_id(), user);
  EXPECT_GT(post.create_time().seconds(), 1'600'000'000);
  EXPECT_EQ(post.update_time().ShortDebugString(), post.create_time().ShortDebugString());
  EXPECT_NE(post.etag(), "");
  EXPECT_EQ(Stored(post.id()), post.ShortDebugString());
}

TEST_P(ApiPosts, ABatchIsCreatedInTheOrderOfTheRequest) {
  const int64_t a = pair().CreateUser(NewName());
  const int64_t b = pair().CreateUser(NewName());
  post::v1::BatchCreatePostsRequest request;
  for (int i = 0; i < 1000; ++i) {
    auto* post = request.add_requests();
    post->set_title(absl::StrCat("title ", i));
    post->set_user_id(i % 2 == 0 ? a : b);
  }
  const auto created = Send(pair(), request);
  ASSERT_THAT(created.status, GrpcOk());
  ASSERT_EQ(created->posts_size(), 1000);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(created->posts(i).title(), request.requests(i).title());
    EXPECT_EQ(created->posts(i).user_id(), request.requests(i).user_id());
  }
  EXPECT_EQ(GetPost(pair(), created->posts(999).id()).title(), "title 999");
  EXPECT_EQ(pair().ListPostIds(a).size(), 500U);
}

TEST_P(ApiPosts, ABatchIsAllOrNothing) {
  const int64_t user = pair().CreateUser(NewName());
  const int64_t gone = pair().CreateUser(NewName());
  pair().Delete(gone);
  for (const int64_t other : {gone, kNoSuchId}) {
    const auto answer = Send<post::v1::BatchCreatePostsRequest>(
        pair(), absl::StrCat("requests { title: 'a' user_id: ", user, " } requests { title: 'b' user_id: ", other,
                             " } requests { title: 'c' user_id: ", user, " }"));
    EXPECT_THAT(answer.status, GrpcError(kPrecondition, "FOREIGN_KEY_VIOLATION"));
    EXPECT_THAT(pair().ListPostIds(user), IsEmpty());
  }
}

TEST_P(ApiPosts, GetIncludesTheUserWhenAsked) {
  const int64_t user = pair().CreateUser(NewName());
  const int64_t post = pair().CreatePost(user);
  EXPECT_FALSE(Send<post::v1::GetPostRequest>(pair(), absl::StrCat("id: ", post))->has_user());
  const auto with = Send<post::v1::GetPostRequest>(pair(), absl::StrCat("include_user: true id: ", post));
  ASSERT_THAT(with.status, GrpcOk());
  EXPECT_EQ(with->user().ShortDebugString(), GetUser(pair(), user).ShortDebugString());
}

TEST_P(ApiPosts, BatchGetKeepsTheOrderOfTheRequestAndAnswersDuplicatesOnce) {
  const int64_t ada = pair().CreateUser(NewName());
  const int64_t grace = pair().CreateUser(NewName());
  const int64_t a = pair().CreatePost(ada);
  const int64_t b = pair().CreatePost(grace);
  const int64_t c = pair().CreatePost(ada);
  const std::string ids = absl::StrCat("ids: [", kNoSuchId + 1, ",", c, ",", a, ",", c, ",", kNoSuchId, ",", b, ",",
                                       kNoSuchId + 1, ",", a, "]");
  const auto answer = Send<post::v1::BatchGetPostsRequest>(pair(), ids);
  ASSERT_THAT(answer.status, GrpcOk());
  EXPECT_THAT(Ids(answer->posts()), ElementsAre(c, a, b));
  EXPECT_THAT(answer->not_found_ids(), ElementsAre(kNoSuchId + 1, kNoSuchId));
  EXPECT_EQ(answer->users_size(), 0);

  const auto with = Send<post::v1::BatchGetPostsRequest>(pair(), ids + " include_users: true");
  ASSERT_THAT(with.status, GrpcOk());
  ASSERT_EQ(with->users_size(), 2);
  EXPECT_EQ(with->users().at(ada).ShortDebugString(), GetUser(pair(), ada).ShortDebugString());
  EXPECT_EQ(with->users().at(grace).ShortDebugString(), GetUser(pair(), grace).ShortDebugString());
}

TEST_P(ApiPosts, BatchGetAnswersFiftyPostsOfFullSize) {
  const int64_t user = pair().CreateUser(NewName());
  post::v1::BatchGetPostsRequest request;
  for (int i = 0; i < 50; ++i) request.add_ids(pair().CreatePost(user, Repeat("é", 100), Repeat("x", 65'535)));
  const auto answer = Send(pair(), request);
  ASSERT_THAT(answer.status, GrpcOk());
  EXPECT_EQ(answer->posts_size(), 50);
}

TEST_P(ApiPosts, AnUpdateChangesWhatTheMaskNames) {
  const int64_t ada = pair().CreateUser(NewName());
  const int64_t grace = pair().CreateUser(NewName());
  struct Case {
    std::string rest;
    std::set<std::string> changed;
  };
  // USER is grace; the post begins as ada's, titled "title", with the content "content".
  for (const auto& [rest, changed] : std::vector<Case>{
           {"title: 'new' content: 'more' user_id: USER }", {"title", "content", "user_id"}},
           {"title: 'new' }", {"title"}},
           {"content: 'more' }", {"content"}},
           {"user_id: USER }", {"user_id"}},
           {"}", {}},
           {"title: 'new' content: 'more' user_id: USER } update_mask { paths: 'title' }", {"title"}},
           {"title: 'new' user_id: USER } update_mask { paths: ['content'] }", {"content"}},
           {"title: 'new' content: 'more' user_id: USER } update_mask { paths: ['content', 'user_id'] }",
            {"content", "user_id"}},
           {"title: 'new' user_id: USER } update_mask { paths: '*' }", {"title", "content", "user_id"}},
           {"title: 'title' content: 'content' } update_mask { paths: ['title', 'content'] }", {}},
           {"uid: 'x' create_time { seconds: 1 } update_time { seconds: 1 } }", {}},
       }) {
    SCOPED_TRACE(rest);
    const int64_t id = pair().CreatePost(ada, "title", "content");
    const post::v1::Post before = GetPost(pair(), id);
    const UpdatePostRequest request = FromText<UpdatePostRequest>(
        absl::StrCat("post { id: ", id, " ", absl::StrReplaceAll(rest, {{"USER", absl::StrCat(grace)}})));
    const auto updated = Send(pair(), request);
    ASSERT_THAT(updated.status, GrpcOk());
    EXPECT_EQ(Stored(id), updated->post().ShortDebugString());

    post::v1::Post expected = before;
    if (changed.count("title") > 0) expected.set_title(request.post().title());
    if (changed.count("content") > 0) expected.set_content(request.post().content());
    if (changed.count("user_id") > 0) expected.set_user_id(grace);
    if (!changed.empty()) {
      EXPECT_NE(updated->post().etag(), before.etag());
      expected.set_etag(updated->post().etag());
      *expected.mutable_update_time() = updated->post().update_time();
    }
    EXPECT_EQ(updated->post().ShortDebugString(), expected.ShortDebugString());
  }
}

TEST_P(ApiPosts, APostMovesToAnotherUserAndWithIt) {
  const int64_t ada = pair().CreateUser(NewName());
  const int64_t grace = pair().CreateUser(NewName());
  const int64_t post = pair().CreatePost(ada);
  EXPECT_THAT(Update(absl::StrCat("post { id: ", post, " user_id: ", grace, " }")).status, GrpcOk());
  EXPECT_THAT(pair().ListPostIds(ada), IsEmpty());
  EXPECT_THAT(pair().ListPostIds(grace), ElementsAre(post));
  pair().Delete(ada);
  EXPECT_THAT(pair().TryGetPost(post), GrpcOk());
  pair().Delete(grace);
  EXPECT_THAT(pair().TryGetPost(post), GrpcError(kNotFound, "POST_NOT_FOUND"));
}

TEST_P(ApiPosts, APostDoesNotMoveToAUserThatIsNotThere) {
  const int64_t ada = pair().CreateUser(NewName());
  const int64_t gone = pair().CreateUser(NewName());
  pair().CreatePost(gone);  // so that a tombstone stays while the reclaim is held
  pair().hold_reclaim = true;
  pair().Delete(gone);
  const int64_t post = pair().CreatePost(ada);
  const std::string before = Stored(post);
  for (const int64_t user : {gone, kNoSuchId}) {
    EXPECT_THAT(Update(absl::StrCat("post { id: ", post, " title: 'x' user_id: ", user, " }")).status,
                GrpcError(kPrecondition, "FOREIGN_KEY_VIOLATION"));
    EXPECT_EQ(Stored(post), before);
  }
  pair().hold_reclaim = false;
  EXPECT_THAT(Update(absl::StrCat("post { id: ", kNoSuchId, " user_id: ", ada, " }")).status,
              GrpcError(kNotFound, "POST_NOT_FOUND"));
}

// Every write to a post of a deleted user finds no post, also while its row is still there.
TEST_P(ApiPosts, APostOfADeletedUserIsGoneForEveryMethod) {
  const int64_t ada = pair().CreateUser(NewName());
  const int64_t grace = pair().CreateUser(NewName());
  const int64_t post = pair().CreatePost(grace);
  pair().hold_reclaim = true;
  pair().Delete(grace);
  const auto missing = GrpcError(kNotFound, "POST_NOT_FOUND");
  EXPECT_THAT(pair().TryGetPost(post), missing);
  EXPECT_THAT(Update(absl::StrCat("post { id: ", post, " title: 'x' }")).status, missing);
  EXPECT_THAT(Update(absl::StrCat("post { id: ", post, " user_id: ", ada, " }")).status, missing);
  EXPECT_THAT(Delete(absl::StrCat("id: ", post)), missing);
  EXPECT_THAT(Delete(absl::StrCat("allow_missing: true id: ", post)), GrpcOk());
  const auto batch = Send<post::v1::BatchGetPostsRequest>(pair(), absl::StrCat("include_users: true ids: ", post));
  EXPECT_THAT(batch.status, GrpcOk());
  EXPECT_THAT(batch->not_found_ids(), ElementsAre(post));
  EXPECT_EQ(batch->users_size(), 0);
  EXPECT_THAT(pair().ListPostIds(grace), IsEmpty());
  EXPECT_EQ(pair().post_db().Number(absl::StrCat("SELECT COUNT(*) FROM posts WHERE id = ", post)), 1);
  pair().hold_reclaim = false;
}

TEST_P(ApiPosts, AnEtagIsCheckedWhenItIsSet) {
  const int64_t post = pair().CreatePost(pair().CreateUser(NewName()));
  const std::string first = GetPost(pair(), post).etag();
  const auto retitle = [&](const std::string& etag, const std::string& title) {
    return Update(absl::StrCat("post { id: ", post, " etag: '", etag, "' title: '", title, "' }")).status;
  };
  EXPECT_THAT(retitle(first, "second"), GrpcOk());
  const post::v1::Post now = GetPost(pair(), post);
  for (const std::string& stale : {first, std::string("x"), now.etag() + " ", now.etag() + "0", std::string("*")}) {
    EXPECT_THAT(retitle(stale, "third"), GrpcError(kAborted, "ETAG_MISMATCH")) << stale;
    EXPECT_THAT(Delete(absl::StrCat("id: ", post, " etag: '", stale, "'")), GrpcError(kAborted, "ETAG_MISMATCH"));
    EXPECT_THAT(Delete(absl::StrCat("id: ", post, " allow_missing: true etag: '", stale, "'")),
                GrpcError(kAborted, "ETAG_MISMATCH"));
  }
  EXPECT_EQ(Stored(post), now.ShortDebugString());
  EXPECT_THAT(Delete(absl::StrCat("id: ", post, " etag: '", now.etag(), "'")), GrpcOk());
  EXPECT_THAT(pair().TryGetPost(post), GrpcError(kNotFound, "POST_NOT_FOUND"));
}

TEST_P(ApiPosts, DeleteRemovesOnePost) {
  const int64_t user = pair().CreateUser(NewName());
  const int64_t post = pair().CreatePost(user);
  const int64_t kept = pair().CreatePost(user);
  EXPECT_THAT(Delete(absl::StrCat("id: ", post)), GrpcOk());
  EXPECT_THAT(pair().TryGetPost(post), GrpcError(kNotFound, "POST_NOT_FOUND"));
  EXPECT_THAT(Delete(absl::StrCat("id: ", post)), GrpcError(kNotFound, "POST_NOT_FOUND"));
  EXPECT_THAT(Delete(absl::StrCat("allow_missing: true id: ", post)), GrpcOk());
  EXPECT_THAT(Delete(absl::StrCat("allow_missing: true id: ", kNoSuchId)), GrpcOk());
  EXPECT_THAT(pair().ListPostIds(user), ElementsAre(kept));
  EXPECT_GT(pair().CreatePost(user), kept) << "an id was used again";
}

// The user is gone, but post-service has not heard of it. So its posts are still there, without their user.
TEST_P(ApiPosts, AUserThatIsGoneMeanwhileIsAbsentFromTheAnswer) {
  Pair pair(GetParam());
  const int64_t ada = pair.CreateUser("ada");
  const int64_t grace = pair.CreateUser("grace");
  const int64_t post = pair.CreatePost(ada);
  const int64_t kept = pair.CreatePost(grace);
  pair.StopPosts();
  EXPECT_EQ(pair.Delete(ada).state(), user::v1::DELETION_STATE_PENDING);
  EXPECT_NE(pair.GetDeletion(ada).blocked_reason(), "");
  pair.hold_post_consumer = true;
  pair.StartPosts();

  const auto one = Send<post::v1::GetPostRequest>(pair, absl::StrCat("include_user: true id: ", post));
  ASSERT_THAT(one.status, GrpcOk());
  EXPECT_EQ(one->post().user_id(), ada);
  EXPECT_FALSE(one->has_user());
  const auto batch =
      Send<post::v1::BatchGetPostsRequest>(pair, absl::StrCat("include_users: true ids: [", post, ",", kept, "]"));
  ASSERT_THAT(batch.status, GrpcOk());
  EXPECT_EQ(batch->posts_size(), 2);
  EXPECT_EQ(batch->users_size(), 1);
  EXPECT_EQ(batch->users().count(grace), 1U);
  const auto list = Send<post::v1::ListPostsRequest>(pair, "include_users: true");
  ASSERT_THAT(list.status, GrpcOk());
  EXPECT_EQ(list->posts_size(), 2);
  EXPECT_EQ(list->users_size(), 1);
  EXPECT_EQ(list->users().count(grace), 1U);

  pair.hold_post_consumer = false;
  pair.AwaitState(ada, user::v1::DELETION_STATE_COMPLETED);
  EXPECT_THAT(pair.ListPostIds(0), ElementsAre(kept));
}

}  // namespace
}  // namespace crosskey::testing
