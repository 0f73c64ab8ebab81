// What UserService promises about users.
#include "absl/strings/str_cat.h"
#include "tests/integration/api_client.h"

namespace crosskey::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using user::v1::DeleteUserRequest;
using user::v1::UpdateUserRequest;

class ApiUsers : public ApiTest {
 protected:
  Answer<user::v1::UpdateUserResponse> Update(const std::string& text) { return Send<UpdateUserRequest>(pair(), text); }
  Answer<user::v1::DeleteUserResponse> Delete(const std::string& text) { return Send<DeleteUserRequest>(pair(), text); }
};
CROSSKEY_ON_EVERY_DATABASE(ApiUsers);

TEST_P(ApiUsers, ANewUserIsActiveAndReadsAsItWasAnswered) {
  const auto created = Send<user::v1::CreateUserRequest>(pair(), absl::StrCat("username: '", NewName(), "'"));
  ASSERT_THAT(created.status, GrpcOk());
  const user::v1::User& user = created->user();
  EXPECT_GT(user.id(), 0);
  EXPECT_THAT(user.uid(), MatchesRegex("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"));
  EXPECT_EQ(user.state(), user::v1::USER_STATE_ACTIVE);
  EXPECT_GT(user.create_time().seconds(), 1'600'000'000);
  EXPECT_EQ(user.update_time().ShortDebugString(), user.create_time().ShortDebugString());
  EXPECT_NE(user.etag(), "");
  EXPECT_EQ(GetUser(pair(), user.id()).ShortDebugString(), user.ShortDebugString());
}

TEST_P(ApiUsers, AnIdIsNeverUsedAgain) {
  const int64_t first = pair().CreateUser(NewName());
  pair().Delete(first);
  EXPECT_GT(pair().CreateUser(NewName()), first);
}

TEST_P(ApiUsers, ANameIsFreeAgainOnceItsUserIsRenamedOrDeleted) {
  const std::string name = NewName();
  const int64_t renamed = pair().CreateUser(name);
  EXPECT_THAT(Update(absl::StrCat("user { id: ", renamed, " username: '", NewName(), "' }")).status, GrpcOk());
  const int64_t deleted = pair().CreateUser(name);
  pair().Delete(deleted);
  EXPECT_GT(pair().CreateUser(name), deleted);
}

TEST_P(ApiUsers, BatchGetKeepsTheOrderOfTheRequestAndAnswersDuplicatesOnce) {
  const int64_t a = pair().CreateUser(NewName());
  const int64_t b = pair().CreateUser(NewName());
  const int64_t c = pair().CreateUser(NewName());
  const auto answer =
      Send<user::v1::BatchGetUsersRequest>(pair(), absl::StrCat("ids: [", kNoSuchId + 1, ",", c, ",", a, ",", c, ",",
                                                                kNoSuchId, ",", b, ",", kNoSuchId + 1, ",", a, "]"));
  ASSERT_THAT(answer.status, GrpcOk());
  EXPECT_THAT(Ids(answer->users()), ElementsAre(c, a, b));
  EXPECT_THAT(answer->not_found_ids(), ElementsAre(kNoSuchId + 1, kNoSuchId));
}

TEST_P(ApiUsers, BatchGetTakesAThousandIds) {
  const int64_t user = pair().CreateUser(NewName());
  user::v1::BatchGetUsersRequest request;
  for (int i = 0; i < 999; ++i) request.add_ids(kNoSuchId + i);
  request.add_ids(user);
  const auto answer = Send(pair(), request);
  ASSERT_THAT(answer.status, GrpcOk());
  EXPECT_THAT(Ids(answer->users()), ElementsAre(user));
  EXPECT_EQ(answer->not_found_ids_size(), 999);
}

TEST_P(ApiUsers, AnUpdateChangesWhatTheMaskNames) {
  const int64_t id = pair().CreateUser(NewName());
  const std::string start = absl::StrCat("user { id: ", id, " ");
  struct Case {
    std::string rest;
    bool changes;
  };
  // NAME is a new name each time.
  for (const auto& [rest, changes] : std::vector<Case>{
           {"username: 'NAME' }", true},
           {"username: 'NAME' } update_mask { paths: 'username' }", true},
           {"username: 'NAME' } update_mask { paths: ['username', 'username'] }", true},
           {"username: 'NAME' } update_mask { paths: '*' }", true},
           {"}", false},
           {"uid: 'other' state: USER_STATE_DELETING create_time { seconds: 1 } update_time { seconds: 1 } }", false},
           {"uid: 'other' state: USER_STATE_DELETING username: 'NAME' create_time { seconds: 1 } }", true},
       }) {
    SCOPED_TRACE(rest);
    const user::v1::User before = GetUser(pair(), id);
    UpdateUserRequest request = FromText<UpdateUserRequest>(start + rest);
    if (request.user().username() == "NAME") request.mutable_user()->set_username(NewName());
    const auto updated = Send(pair(), request);
    ASSERT_THAT(updated.status, GrpcOk());
    EXPECT_EQ(GetUser(pair(), id).ShortDebugString(), updated->user().ShortDebugString());
    user::v1::User expected = before;
    if (changes) {
      EXPECT_NE(updated->user().etag(), before.etag());
      expected.set_username(request.user().username());
      expected.set_etag(updated->user().etag());
      *expected.mutable_update_time() = updated->user().update_time();
    }
    EXPECT_EQ(updated->user().ShortDebugString(), expected.ShortDebugString());
  }
}

TEST_P(ApiUsers, AnUpdateThatChangesNothingKeepsTheEtag) {
  const int64_t id = pair().CreateUser(NewName());
  const user::v1::User before = GetUser(pair(), id);
  const std::string same = absl::StrCat("user { id: ", id, " username: '", before.username(), "' }");
  const auto updated = Update(same + " update_mask { paths: '*' }");
  ASSERT_THAT(updated.status, GrpcOk());
  EXPECT_EQ(updated->user().ShortDebugString(), before.ShortDebugString());
  EXPECT_EQ(GetUser(pair(), id).ShortDebugString(), before.ShortDebugString());
}

TEST_P(ApiUsers, AnEtagIsCheckedWhenItIsSet) {
  const int64_t id = pair().CreateUser(NewName());
  const std::string first = GetUser(pair(), id).etag();
  const auto rename = [&](const std::string& etag) {
    return Update(absl::StrCat("user { id: ", id, " etag: '", etag, "' username: '", NewName(), "' }"));
  };
  EXPECT_THAT(rename(first).status, GrpcOk());
  const user::v1::User now = GetUser(pair(), id);
  for (const std::string& stale : {first, std::string("x"), now.etag() + " ", now.etag() + "0", std::string("*"),
                                   std::string("v-1"), std::string("v99999999999999999999")}) {
    EXPECT_THAT(rename(stale).status, GrpcError(kAborted, "ETAG_MISMATCH")) << stale;
    EXPECT_THAT(Delete(absl::StrCat("id: ", id, " etag: '", stale, "'")).status, GrpcError(kAborted, "ETAG_MISMATCH"));
    EXPECT_THAT(Delete(absl::StrCat("id: ", id, " validate_only: true etag: '", stale, "'")).status,
                GrpcError(kAborted, "ETAG_MISMATCH"));
  }
  EXPECT_EQ(GetUser(pair(), id).ShortDebugString(), now.ShortDebugString());
  EXPECT_THAT(Delete(absl::StrCat("id: ", id, " etag: '", now.etag(), "'")).status, GrpcOk());
  EXPECT_THAT(pair().TryGetUser(id), GrpcError(kNotFound, "USER_NOT_FOUND"));
}

TEST_P(ApiUsers, AllowMissingMakesAnAbsentUserNoError) {
  const auto never = Delete(absl::StrCat("allow_missing: true id: ", kNoSuchId));
  EXPECT_THAT(never.status, GrpcOk());
  EXPECT_FALSE(never->has_deletion());
  EXPECT_THAT(Delete(absl::StrCat("id: ", kNoSuchId)).status, GrpcError(kNotFound, "USER_NOT_FOUND"));

  const int64_t id = pair().CreateUser(NewName());
  pair().CreatePosts(id, 2);
  const auto deletion = pair().Delete(id);
  pair().AwaitState(id, user::v1::DELETION_STATE_COMPLETED);
  const auto again = Delete(absl::StrCat("allow_missing: true id: ", id));
  EXPECT_THAT(again.status, GrpcOk());
  EXPECT_EQ(again->deletion().deletion_id(), deletion.deletion_id());
  EXPECT_EQ(again->deletion().state(), user::v1::DELETION_STATE_COMPLETED);
  EXPECT_EQ(again->deletion().posts(), 2);
  EXPECT_THAT(Delete(absl::StrCat("id: ", id)).status, GrpcError(kNotFound, "USER_NOT_FOUND"));
  EXPECT_THAT(Delete(absl::StrCat("validate_only: true id: ", id)).status, GrpcError(kNotFound, "USER_NOT_FOUND"));
}

TEST_P(ApiUsers, TheRecordOfADeletionTellsItsCourse) {
  const int64_t id = pair().CreateUser(NewName());
  const std::string uid = GetUser(pair(), id).uid();
  pair().CreatePosts(id, 3);
  pair().hold_reclaim = true;
  const auto deletion = pair().Delete(id);
  EXPECT_GT(deletion.deletion_id(), 0);
  EXPECT_EQ(deletion.user_id(), id);
  EXPECT_EQ(deletion.user_uid(), uid);
  EXPECT_EQ(deletion.on_delete(), ::relation::v1::REFERENTIAL_ACTION_CASCADE);
  EXPECT_EQ(deletion.state(), user::v1::DELETION_STATE_RECLAIMING);
  EXPECT_EQ(deletion.posts(), 0);
  EXPECT_TRUE(deletion.has_create_time());
  EXPECT_FALSE(deletion.has_complete_time());

  // A deletion with the same action joins this one.
  const auto joined = Delete(absl::StrCat("id: ", id, " on_delete: REFERENTIAL_ACTION_CASCADE"));
  EXPECT_THAT(joined.status, GrpcOk());
  EXPECT_EQ(joined->deletion().ShortDebugString(), deletion.ShortDebugString());
  EXPECT_EQ(pair().GetDeletion(id).ShortDebugString(), deletion.ShortDebugString());

  pair().hold_reclaim = false;
  pair().AwaitState(id, user::v1::DELETION_STATE_COMPLETED);
  const auto completed = pair().GetDeletion(id);
  EXPECT_EQ(completed.deletion_id(), deletion.deletion_id());
  EXPECT_EQ(completed.posts(), 3);
  EXPECT_TRUE(completed.has_complete_time());
  EXPECT_EQ(completed.blocked_reason(), "");
}

TEST_P(ApiUsers, ValidateOnlyTellsWhatWouldGoAndChangesNothing) {
  const int64_t id = pair().CreateUser(NewName());
  const std::string before = GetUser(pair(), id).ShortDebugString();
  const std::vector<int64_t> posts = pair().CreatePosts(id, 1001);
  const std::string request = absl::StrCat("validate_only: true id: ", id);

  const auto preview = Delete(request);
  ASSERT_THAT(preview.status, GrpcOk());
  user::v1::UserDeletion expected;
  expected.set_user_id(id);
  expected.set_user_uid(GetUser(pair(), id).uid());
  expected.set_on_delete(::relation::v1::REFERENTIAL_ACTION_CASCADE);
  expected.set_posts(1001);
  EXPECT_EQ(preview->deletion().ShortDebugString(), expected.ShortDebugString());
  EXPECT_THAT(Delete(request + " on_delete: REFERENTIAL_ACTION_RESTRICT").status,
              GrpcError(grpc::StatusCode::FAILED_PRECONDITION, "RESTRICTED"));
  EXPECT_THAT(Delete(absl::StrCat("validate_only: true allow_missing: true id: ", kNoSuchId)).status, GrpcOk());

  EXPECT_EQ(GetUser(pair(), id).ShortDebugString(), before);
  EXPECT_EQ(pair().ListPostIds(id), posts);
  EXPECT_THAT(Send<user::v1::GetUserDeletionRequest>(pair(), absl::StrCat("user_id: ", id)).status,
              GrpcError(kNotFound, "DELETION_NOT_FOUND"));
  EXPECT_EQ(pair().user_db().Number(absl::StrCat("SELECT COUNT(*) FROM user_deletions WHERE user_id = ", id)), 0);
}

TEST_P(ApiUsers, RestrictDeletesAUserWithoutPosts) {
  const int64_t id = pair().CreateUser(NewName());
  const std::string restrict = absl::StrCat("on_delete: REFERENTIAL_ACTION_RESTRICT id: ", id);
  const auto preview = Delete(restrict + " validate_only: true");
  ASSERT_THAT(preview.status, GrpcOk());
  EXPECT_EQ(preview->deletion().on_delete(), ::relation::v1::REFERENTIAL_ACTION_RESTRICT);
  EXPECT_EQ(preview->deletion().posts(), 0);
  const int64_t post = pair().CreatePost(id);
  EXPECT_THAT(Delete(restrict).status, GrpcError(grpc::StatusCode::FAILED_PRECONDITION, "RESTRICTED"));
  EXPECT_EQ(GetUser(pair(), id).state(), user::v1::USER_STATE_ACTIVE);
  EXPECT_THAT(Send<post::v1::DeletePostRequest>(pair(), absl::StrCat("id: ", post)).status, GrpcOk());
  const auto deleted = Delete(restrict);
  ASSERT_THAT(deleted.status, GrpcOk());
  EXPECT_EQ(deleted->deletion().on_delete(), ::relation::v1::REFERENTIAL_ACTION_RESTRICT);
  EXPECT_THAT(pair().TryGetUser(id), GrpcError(kNotFound, "USER_NOT_FOUND"));
}

TEST_P(ApiUsers, AnEmptyNameInAListIsNoFilter) {
  const int64_t first = pair().CreateUser(NewName());
  const int64_t second = pair().CreateUser(NewName());
  user::v1::ListUsersRequest request;
  request.set_page_size(1000);
  const auto all = Ids(Send(pair(), request)->users());
  EXPECT_THAT(all, ::testing::IsSupersetOf({first, second}));
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
  request.set_username(GetUser(pair(), second).username());
  const auto found = Send(pair(), request);
  EXPECT_THAT(Ids(found->users()), ElementsAre(second));
  EXPECT_EQ(found->next_page_token(), "");
  request.set_username("nobody has this name");
  EXPECT_THAT(Ids(Send(pair(), request)->users()), IsEmpty());
}

}  // namespace
}  // namespace crosskey::testing
