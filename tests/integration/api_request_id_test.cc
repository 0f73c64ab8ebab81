// A request_id makes a write safe to repeat: one effect, one answer.
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/events/uuid.h"
#include "tests/integration/api_client.h"
#include "tests/support/faults.h"
#include "tests/support/metric_of.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using grpc::StatusCode;
using post::v1::BatchCreatePostsRequest;
using post::v1::CreatePostRequest;
using post::v1::DeletePostRequest;
using post::v1::LikePostRequest;
using post::v1::UnlikePostRequest;
using post::v1::UpdatePostRequest;
using user::v1::CreateUserRequest;
using user::v1::DeleteUserRequest;
using user::v1::UpdateUserRequest;

const auto kReused = GrpcError(StatusCode::INVALID_ARGUMENT, "REQUEST_ID_REUSED");

class RequestId : public DatabaseTest {
 protected:
  RequestId() : pair_(GetParam()) {}
  ~RequestId() override { ClearFaults(); }

  // Sends the same request twice. The second answer has to be the first one.
  template <typename Request>
  auto SendTwice(const std::string& text) {
    const Request request = FromText<Request>(absl::StrCat(text, " request_id: '", NewUuid(), "'"));
    const auto first = Send(pair_, request);
    EXPECT_THAT(first.status, GrpcOk()) << text;
    const auto second = Send(pair_, request);
    EXPECT_THAT(second.status, GrpcOk()) << text;
    EXPECT_EQ(second->ShortDebugString(), first->ShortDebugString());
    return first;
  }

  int64_t Users() { return pair_.user_db().Number("SELECT COUNT(*) FROM users"); }
  int64_t Posts() { return pair_.post_db().Number("SELECT COUNT(*) FROM posts WHERE state = 1"); }

  Pair pair_;
};
CROSSKEY_ON_EVERY_DATABASE(RequestId);

TEST_P(RequestId, WhatMayNotBeStoredHasNoEffect) {
  const int64_t ada = pair_.CreateUser("ada");
  pair_.StopPosts();
  pair_.adjust = [](bool, process::Options& options) { options.answer_space = 1; };
  pair_.StartPosts();
  BatchCreatePostsRequest batch;
  for (int i = 0; i < 1000; ++i) {
    batch.add_requests()->set_user_id(ada);
    batch.mutable_requests(i)->set_title("title");
  }
  std::string first;
  const auto kFull = GrpcError(StatusCode::RESOURCE_EXHAUSTED, "OVERLOADED");
  // A batch has some 100 KB of answer, and one caller may have 512 KB.
  for (int sent = 0; sent < 20; ++sent) {
    batch.set_request_id(NewUuid());
    const int64_t before = Posts();
    const auto answer = Send(pair_, batch);
    if (answer.status.ok()) {
      if (first.empty()) first = batch.request_id();
      continue;
    }
    EXPECT_THAT(answer.status, kFull);
    EXPECT_EQ(Posts(), before);
    break;
  }
  CreatePostRequest one = FromText<CreatePostRequest>(absl::StrCat("user_id: ", ada, " title: 't'"));
  EXPECT_THAT(Send(pair_, one).status, GrpcOk()) << "without an id nothing is stored";
  one.set_request_id(NewUuid());
  EXPECT_THAT(Send(pair_, one).status, kFull);
  batch.set_request_id(first);
  EXPECT_THAT(Send(pair_, batch).status, GrpcOk()) << "what is stored is still the answer";
  pair_.clock_offset_seconds = 26 * 3600;
  EXPECT_THAT(Send(pair_, one).status, GrpcOk());
}

TEST_P(RequestId, EveryWriteHasOneEffectAndOneAnswer) {
  const int64_t ada = SendTwice<CreateUserRequest>("username: 'ada'")->user().id();
  const int64_t fan = pair_.CreateUser("fan");
  EXPECT_EQ(Users(), 2);
  SendTwice<UpdateUserRequest>(absl::StrCat("user { id: ", ada, " username: 'ada l' }"));
  const int64_t post = SendTwice<CreatePostRequest>(absl::StrCat("user_id: ", ada, " title: 't'"))->post().id();
  const std::string one = absl::StrCat("requests { user_id: ", ada, " title: 't' } ");
  const int64_t batched = SendTwice<BatchCreatePostsRequest>(one + one)->posts(1).id();
  EXPECT_EQ(Posts(), 3);
  SendTwice<UpdateUserRequest>(absl::StrCat("user { id: ", fan, " pinned_post_id: ", post, " }"));
  const auto updated = SendTwice<UpdatePostRequest>(absl::StrCat("post { id: ", post, " title: 'changed' }"));
  EXPECT_EQ(GetPost(pair_, post).etag(), updated->post().etag());
  SendTwice<LikePostRequest>(absl::StrCat("post_id: ", post, " user_id: ", fan));
  EXPECT_EQ(GetPost(pair_, post).like_count(), 1);
  SendTwice<UnlikePostRequest>(absl::StrCat("post_id: ", post, " user_id: ", fan));
  EXPECT_EQ(GetPost(pair_, post).like_count(), 0);
  SendTwice<DeletePostRequest>(absl::StrCat("id: ", batched));
  EXPECT_EQ(Posts(), 2);
  SendTwice<DeletePostRequest>(absl::StrCat("id: ", batched, " allow_missing: true"));
  const auto deletion = SendTwice<DeleteUserRequest>(absl::StrCat("id: ", ada));
  EXPECT_EQ(deletion->deletion().state(), user::v1::DELETION_STATE_RECLAIMING);
  SendTwice<DeleteUserRequest>(absl::StrCat("id: ", kNoSuchId, " allow_missing: true"));
  EXPECT_EQ(pair_.user_db().Number("SELECT COUNT(*) FROM user_deletions"), 1);
  pair_.AwaitQuiet();
  EXPECT_EQ(pair_.Orphans(), 0);
}

// A repetition gets the first answer, whatever has happened since.
TEST_P(RequestId, TheAnswerIsTheFirstOneAlsoAfterwardsAndAfterARestart) {
  const std::string like_id = NewUuid();
  const std::string delete_id = NewUuid();
  const int64_t ada = pair_.CreateUser("ada");
  const int64_t fan = pair_.CreateUser("fan");
  const auto create =
      FromText<CreatePostRequest>(absl::StrCat("user_id: ", ada, " title: 't' request_id: '", NewUuid(), "'"));
  const auto created = Send(pair_, create);
  const std::string like =
      absl::StrCat("post_id: ", created->post().id(), " user_id: ", fan, " request_id: '", like_id, "'");
  EXPECT_THAT(Send<LikePostRequest>(pair_, like).status, GrpcOk());
  EXPECT_THAT(Send<UnlikePostRequest>(pair_, absl::StrCat("post_id: ", created->post().id(), " user_id: ", fan)).status,
              GrpcOk());
  EXPECT_THAT(Send<LikePostRequest>(pair_, like).status, GrpcOk());
  EXPECT_EQ(GetPost(pair_, created->post().id()).like_count(), 0) << "no second effect";

  const auto remove = FromText<DeleteUserRequest>(absl::StrCat("id: ", ada, " request_id: '", delete_id, "'"));
  const auto removed = Send(pair_, remove);
  EXPECT_THAT(removed.status, GrpcOk());
  pair_.AwaitState(ada, user::v1::DELETION_STATE_COMPLETED);
  pair_.StopUsers();
  pair_.StopPosts();
  pair_.StartUsers();
  pair_.StartPosts();
  EXPECT_EQ(Send(pair_, remove)->ShortDebugString(), removed->ShortDebugString());
  EXPECT_EQ(Send(pair_, create)->ShortDebugString(), created->ShortDebugString()) << "the post itself is gone";
  EXPECT_EQ(Posts(), 0);
}

// The contents are not stored twice, and are in the repeated answer all the same.
TEST_P(RequestId, AStoredAnswerIsSmallAndComesBackWhole) {
  constexpr int kPosts = 40;
  const int64_t ada = pair_.CreateUser("ada");
  BatchCreatePostsRequest batch;
  batch.set_request_id(NewUuid());
  for (int i = 0; i < kPosts; ++i) {
    auto* one = batch.add_requests();
    one->set_user_id(ada);
    one->set_title(absl::StrCat("title ", i));
    one->set_content(absl::StrCat(i) + Repeat("\U0001F600", 15'000));
  }
  CreatePostRequest create = batch.requests(0);
  create.set_request_id(NewUuid());
  const auto created = Send(pair_, create);
  const auto batched = Send(pair_, batch);
  UpdatePostRequest update;
  update.set_request_id(NewUuid());
  update.mutable_post()->set_id(created->post().id());
  update.mutable_post()->set_content(Repeat("y", 60'000));
  const auto updated = Send(pair_, update);
  ASSERT_THAT(created.status, GrpcOk());
  ASSERT_THAT(batched.status, GrpcOk());
  ASSERT_THAT(updated.status, GrpcOk());
  EXPECT_EQ(pair_.post_db().Number("SELECT COUNT(*) FROM requests"), 3);
  EXPECT_LT(pair_.post_db().Number("SELECT MAX(LENGTH(answer)) FROM requests"), kPosts * 300);
  EXPECT_LT(pair_.post_db().Number("SELECT MIN(LENGTH(answer)) FROM requests"), 300);
  for (const bool restarted : {false, true}) {
    if (restarted) {
      pair_.StopPosts();
      pair_.StartPosts();
    }
    EXPECT_EQ(Send(pair_, create)->SerializeAsString(), created->SerializeAsString()) << restarted;
    EXPECT_EQ(Send(pair_, batch)->SerializeAsString(), batched->SerializeAsString()) << restarted;
    EXPECT_EQ(Send(pair_, update)->SerializeAsString(), updated->SerializeAsString()) << restarted;
  }
  EXPECT_EQ(Posts(), kPosts + 1);
}

// As long as answers of before the upgrade are kept, processes of before it may run, which cannot read a short one.
TEST_P(RequestId, AnswersAreStoredWholeForADayAfterAnUpgrade) {
  const int64_t ada = pair_.CreateUser("ada");
  const auto size_of_the_answer = [&] {
    CreatePostRequest request;
    request.set_user_id(ada);
    request.set_title("t");
    request.set_content(Repeat("x", 2000));
    request.set_request_id(NewUuid());
    EXPECT_THAT(Send(pair_, request).status, GrpcOk());
    return pair_.post_db().Number(
        absl::StrCat("SELECT LENGTH(answer) FROM requests WHERE request_id = '", request.request_id(), "'"));
  };
  pair_.post_db().Run("INSERT INTO requests (request_id, fingerprint, answer, time) VALUES ('of before', '', '', " +
                      absl::StrCat(absl::ToUnixMicros(absl::Now() - absl::Hours(1))) + ")");
  EXPECT_GT(size_of_the_answer(), 2000);
  EXPECT_GT(size_of_the_answer(), 2000);
  pair_.post_db().Run("DELETE FROM requests WHERE request_id = 'of before'");
  EXPECT_LT(size_of_the_answer(), 300);
}

TEST_P(RequestId, StandsForOneRequestOnly) {
  const std::string id = NewUuid();
  const std::string with_id = absl::StrCat(" request_id: '", id, "'");
  const int64_t ada = pair_.CreateUser("ada");
  EXPECT_THAT(Send<CreatePostRequest>(pair_, absl::StrCat("user_id: ", ada, " title: 't'", with_id)).status, GrpcOk());
  const auto reused =
      Send<CreatePostRequest>(pair_, absl::StrCat("user_id: ", ada, " title: 'another'", with_id)).status;
  ExpectError(reused,
              {StatusCode::INVALID_ARGUMENT, "REQUEST_ID_REUSED", {}, {{"field", "request_id"}, {"request_id", id}}});
  EXPECT_THAT(Send<DeletePostRequest>(pair_, absl::StrCat("id: 1", with_id)).status, kReused);
  EXPECT_EQ(Posts(), 1);
  // The same UUID in another spelling is the same id.
  const std::string upper = absl::AsciiStrToUpper(id);
  EXPECT_THAT(
      Send<CreatePostRequest>(pair_, absl::StrCat("user_id: ", ada, " title: 't' request_id: '", upper, "'")).status,
      GrpcOk());
  EXPECT_EQ(Posts(), 1);
  // Each service has ids of its own.
  EXPECT_THAT(Send<CreateUserRequest>(pair_, absl::StrCat("username: 'grace'", with_id)).status, GrpcOk());
}

TEST_P(RequestId, ErrorsAreNotKept) {
  const int64_t ada = pair_.CreateUser("ada");
  const std::string create = absl::StrCat("username: 'ada' request_id: '", NewUuid(), "'");
  EXPECT_THAT(Send<CreateUserRequest>(pair_, create).status, GrpcError(StatusCode::ALREADY_EXISTS, "USERNAME_TAKEN"));
  const int64_t post = pair_.CreatePost(ada);
  const std::string remove =
      absl::StrCat("id: ", ada, " on_delete: REFERENTIAL_ACTION_RESTRICT request_id: '", NewUuid(), "'");
  const auto restricted = GrpcError(StatusCode::FAILED_PRECONDITION, "RESTRICTED");
  EXPECT_THAT(Send<DeleteUserRequest>(pair_, remove).status, restricted);
  EXPECT_THAT(Send<DeleteUserRequest>(pair_, remove).status, restricted);
  EXPECT_THAT(Send<DeletePostRequest>(pair_, absl::StrCat("id: ", post)).status, GrpcOk());
  EXPECT_THAT(Send<DeleteUserRequest>(pair_, remove).status, GrpcOk());
  const auto created = Send<CreateUserRequest>(pair_, create);
  EXPECT_THAT(created.status, GrpcOk());
  EXPECT_EQ(Send<CreateUserRequest>(pair_, create)->user().id(), created->user().id());
}

TEST_P(RequestId, MustBeAUuid) {
  for (const char* bad : {"x", "00000000-0000-0000-0000-00000000000g", "000000000000000000000000000000000000",
                          "{0000000-0000-0000-0000-000000000000}", "00000000-0000-0000-0000-000000000000"}) {
    ExpectBadFields(Send<CreateUserRequest>(pair_, absl::StrCat("request_id: '", bad, "'")).status,
                    {"username", "request_id"});
    ExpectBadFields(Send<DeleteUserRequest>(pair_, absl::StrCat("id: 1 request_id: '", bad, "'")).status,
                    {"request_id"});
    ExpectBadFields(Send<DeletePostRequest>(pair_, absl::StrCat("id: 1 request_id: '", bad, "'")).status,
                    {"request_id"});
    ExpectBadFields(Send<UpdatePostRequest>(pair_, absl::StrCat("post { id: 1 } request_id: '", bad, "'")).status,
                    {"request_id"});
    ExpectBadFields(Send<UpdateUserRequest>(pair_, absl::StrCat("user { id: 1 } request_id: '", bad, "'")).status,
                    {"request_id"});
    ExpectBadFields(
        Send<CreatePostRequest>(pair_, absl::StrCat("title: 't' user_id: 1 request_id: '", bad, "'")).status,
        {"request_id"});
  }
  ExpectBadFields(
      Send<BatchCreatePostsRequest>(
          pair_, absl::StrCat("request_id: 'x' requests { title: 't' user_id: 1 request_id: '", NewUuid(), "' }"))
          .status,
      {"request_id", "requests[0].request_id"});
}

TEST_P(RequestId, OfAPreviewMeansNothing) {
  const int64_t ada = pair_.CreateUser("ada");
  const std::string id = NewUuid();
  const std::string preview = absl::StrCat("id: ", ada, " validate_only: true request_id: '", id, "'");
  EXPECT_EQ(Send<DeleteUserRequest>(pair_, preview)->deletion().posts(), 0);
  pair_.CreatePost(ada);
  EXPECT_EQ(Send<DeleteUserRequest>(pair_, preview)->deletion().posts(), 1);
  EXPECT_THAT(Send<DeleteUserRequest>(pair_, absl::StrCat("id: ", ada, " request_id: '", id, "'")).status, GrpcOk());
}

// A count of a million rows takes a while. Deletions, and what the other service asks, do not wait for it.
TEST_P(RequestId, PreviewsWaitInLinesOfTheirOwn) {
  const int64_t ada = pair_.CreateUser("ada");
  const auto waited = [](auto& app, const std::string& line) {
    return ObservedOf(app.service().metrics(), "crosskey_line_wait_seconds", {{"line", line}}).count;
  };
  EXPECT_THAT(Send<DeleteUserRequest>(pair_, absl::StrCat("id: ", ada, " validate_only: true")).status, GrpcOk());
  EXPECT_EQ(waited(pair_.user_app(), "previews"), 1u);
  EXPECT_EQ(waited(pair_.user_app(), "peer"), 0u);
  EXPECT_EQ(waited(pair_.post_app(), "previews"), 1u);
  EXPECT_EQ(waited(pair_.post_app(), "internal_writes"), 0u);
  EXPECT_THAT(Send<DeleteUserRequest>(pair_, absl::StrCat("id: ", ada)).status, GrpcOk());
  EXPECT_EQ(waited(pair_.user_app(), "previews"), 1u);
  EXPECT_EQ(waited(pair_.post_app(), "previews"), 1u);
}

TEST_P(RequestId, IsForgottenAfterADay) {
  const int64_t ada = pair_.CreateUser("ada");
  const auto create =
      FromText<CreatePostRequest>(absl::StrCat("user_id: ", ada, " title: 't' request_id: '", NewUuid(), "'"));
  const int64_t first = Send(pair_, create)->post().id();
  pair_.clock_offset_seconds = 23 * 3600;
  EXPECT_EQ(Send(pair_, create)->post().id(), first);
  pair_.clock_offset_seconds = 25 * 3600;
  const int64_t second = Send(pair_, create)->post().id();
  EXPECT_GT(second, first);
  EXPECT_EQ(Send(pair_, create)->post().id(), second);
  EXPECT_EQ(Posts(), 2);

  // Expired answers are removed when the service starts, and every minute.
  pair_.clock_offset_seconds = 50 * 3600;
  pair_.StopPosts();
  pair_.StartPosts();
  EXPECT_TRUE(WaitFor([&] { return pair_.post_db().Number("SELECT COUNT(*) FROM requests") == 0; }));
}

// Many calls are made at once with the same request_id.
TEST_P(RequestId, ConcurrentCallsHaveOneEffectAndAllGetItsAnswer) {
  const int64_t ada = pair_.CreateUser("ada");
  const auto all_get_one_answer = [&](const auto& request) {
    constexpr int kCalls = 8;
    std::vector<std::string> answers(kCalls);
    std::vector<std::thread> threads;
    for (int i = 0; i < kCalls; ++i) {
      threads.emplace_back([&, i] {
        const auto answer = Send(pair_, request);
        EXPECT_THAT(answer.status, GrpcOk());
        answers[static_cast<size_t>(i)] = answer->ShortDebugString();
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::string& answer : answers) EXPECT_EQ(answer, answers.front());
  };
  for (int round = 0; round < 5; ++round) {
    const std::string with_id = absl::StrCat(" request_id: '", NewUuid(), "'");
    all_get_one_answer(FromText<CreatePostRequest>(absl::StrCat("user_id: ", ada, " title: 't'", with_id)));
    EXPECT_EQ(Posts(), round + 1);
    all_get_one_answer(FromText<CreateUserRequest>(absl::StrCat("username: 'twin ", round, "'", with_id)));
    EXPECT_EQ(Users(), round + 2);
  }
  const int64_t deletions = 5;
  for (int round = 0; round < deletions; ++round) {
    const int64_t user = pair_.CreateUser(absl::StrCat("deleted ", round));
    all_get_one_answer(FromText<DeleteUserRequest>(absl::StrCat("id: ", user, " request_id: '", NewUuid(), "'")));
  }
  EXPECT_EQ(pair_.user_db().Number("SELECT COUNT(*) FROM user_deletions"), deletions);
}

// The COMMIT took effect, but its answer is lost between the database and the service.
TEST_P(RequestId, AnEffectWhoseCommitWasNotAnsweredIsFound) {
  const int64_t ada = pair_.CreateUser("ada");
  ClearFaults();
  SetFault("guarded_write.after_commit=fail");
  const auto create =
      FromText<CreatePostRequest>(absl::StrCat("user_id: ", ada, " title: 't' request_id: '", NewUuid(), "'"));
  const auto created = Send(pair_, create);
  EXPECT_EQ(TimesReached("guarded_write.after_commit"), 1);
  EXPECT_THAT(created.status, GrpcOk());
  EXPECT_EQ(Send(pair_, create)->ShortDebugString(), created->ShortDebugString());
  EXPECT_EQ(Posts(), 1);
  // The same for a write that shares its transaction with no other call.
  ClearFaults();
  SetFault("guarded_write.after_commit=fail");
  const auto batch = FromText<BatchCreatePostsRequest>(
      absl::StrCat("requests { user_id: ", ada, " title: 't' } request_id: '", NewUuid(), "'"));
  const auto batched = Send(pair_, batch);
  EXPECT_EQ(TimesReached("guarded_write.after_commit"), 1);
  EXPECT_THAT(batched.status, GrpcOk());
  EXPECT_EQ(Send(pair_, batch)->ShortDebugString(), batched->ShortDebugString());
  EXPECT_EQ(Posts(), 2);
}

// The answer to the COMMIT of a deletion's intent is lost in the same way. The call finds the intent and goes on with
// it.
TEST_P(RequestId, AnIntentWhoseCommitWasNotAnsweredIsGoneOnWith) {
  const int64_t ada = pair_.CreateUser("ada");
  ClearFaults();
  SetFault("deletion.intent.after_commit=fail");
  const auto remove = FromText<DeleteUserRequest>(absl::StrCat("id: ", ada, " request_id: '", NewUuid(), "'"));
  const auto removed = Send(pair_, remove);
  EXPECT_EQ(TimesReached("deletion.intent.after_commit"), 1);
  EXPECT_THAT(removed.status, GrpcOk());
  EXPECT_EQ(removed->deletion().state(), user::v1::DELETION_STATE_RECLAIMING);
  EXPECT_EQ(Send(pair_, remove)->ShortDebugString(), removed->ShortDebugString());
  EXPECT_EQ(pair_.user_db().Number("SELECT COUNT(*) FROM user_deletions"), 1);
}

// The intent is stored, but not its outcome. The same call again finds its own deletion, whatever state that is in.
TEST_P(RequestId, ADeletionThatWasNotAnsweredIsTakenUpAgain) {
  for (const bool over : {false, true}) {
    SCOPED_TRACE(over ? "completed meanwhile" : "undecided");
    const int64_t user = pair_.CreateUser(over ? "grace" : "ada");
    pair_.CreatePost(user);
    pair_.AwaitQuiet();
    ClearFaults();
    SetFault("deletion.decide.before_commit=fail");
    pair_.hold_recovery = !over;
    const auto remove = FromText<DeleteUserRequest>(absl::StrCat("id: ", user, " request_id: '", NewUuid(), "'"));
    EXPECT_THAT(Send(pair_, remove).status, GrpcError(StatusCode::UNAVAILABLE, "DATABASE_UNAVAILABLE"));
    if (over) pair_.AwaitState(user, user::v1::DELETION_STATE_COMPLETED);
    const auto removed = Send(pair_, remove);
    EXPECT_THAT(removed.status, GrpcOk());
    EXPECT_EQ(removed->deletion().user_id(), user);
    EXPECT_EQ(removed->deletion().state(),
              over ? user::v1::DELETION_STATE_COMPLETED : user::v1::DELETION_STATE_RECLAIMING);
    pair_.AwaitState(user, user::v1::DELETION_STATE_COMPLETED);
    EXPECT_EQ(Send(pair_, remove)->ShortDebugString(), removed->ShortDebugString());
  }
  EXPECT_EQ(pair_.user_db().Number("SELECT COUNT(*) FROM user_deletions"), 2);
}

// The release of a RESTRICT fails, and the recovery finds the deletion refused. So no answer is kept, and the same call
// tries anew.
TEST_P(RequestId, ARefusedDeletionLeavesTheIdFree) {
  const int64_t ada = pair_.CreateUser("ada");
  pair_.AwaitQuiet();
  ClearFaults();
  SetFault("release.send=fail");
  pair_.hold_recovery = true;
  const auto remove = FromText<DeleteUserRequest>(
      absl::StrCat("id: ", ada, " on_delete: REFERENTIAL_ACTION_RESTRICT request_id: '", NewUuid(), "'"));
  EXPECT_THAT(Send(pair_, remove).status, GrpcError(StatusCode::UNAVAILABLE, "PEER_UNAVAILABLE"));
  const int64_t post = pair_.CreatePost(ada);
  pair_.hold_recovery = false;
  pair_.AwaitState(ada, user::v1::DELETION_STATE_REFUSED);
  EXPECT_THAT(Send(pair_, remove).status, GrpcError(StatusCode::FAILED_PRECONDITION, "RESTRICTED"));
  EXPECT_THAT(Send<DeletePostRequest>(pair_, absl::StrCat("id: ", post)).status, GrpcOk());
  const auto removed = Send(pair_, remove);
  EXPECT_THAT(removed.status, GrpcOk());
  EXPECT_EQ(Send(pair_, remove)->ShortDebugString(), removed->ShortDebugString());
}

}  // namespace
}  // namespace crosskey::testing
