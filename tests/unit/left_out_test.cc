// What stands in a request is left out of its stored answer, and comes back.
#include "common/idempotency/left_out.h"

#include <random>
#include <string>

#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include "event/v1/event_service.pb.h"
#include "post/v1/post_service.pb.h"
#include "user/v1/user_service.pb.h"

namespace crosskey::idempotency {
namespace {

using post::v1::BatchCreatePostsRequest;
using post::v1::BatchCreatePostsResponse;
using post::v1::CreatePostRequest;
using post::v1::CreatePostResponse;

// What Writes does: stores the one or the other form.
std::string Form(const google::protobuf::Message& answer, const google::protobuf::Message& request) {
  return LeaveOut(answer, request).value_or(answer.SerializeAsString());
}

template <typename Answer>
void ExpectComesBack(const Answer& answer, const google::protobuf::Message& request) {
  Answer back;
  ASSERT_TRUE(FillIn(Form(answer, request), request, back));
  EXPECT_EQ(back.SerializeAsString(), answer.SerializeAsString());
}

CreatePostRequest Request(const std::string& content) {
  CreatePostRequest request;
  request.set_title("title");
  request.set_content(content);
  return request;
}

CreatePostResponse AnswerTo(const CreatePostRequest& request) {
  CreatePostResponse answer;
  answer.mutable_post()->set_id(7);
  answer.mutable_post()->set_title(request.title());
  answer.mutable_post()->set_content(request.content());
  return answer;
}

TEST(LeftOut, TheContentOfAPostIsNotStoredAgain) {
  const CreatePostRequest request = Request(std::string(60'000, 'x'));
  const auto form = LeaveOut(AnswerTo(request), request);
  ASSERT_TRUE(form.has_value());
  EXPECT_LT(form->size(), 200u);
  ExpectComesBack(AnswerTo(request), request);
}

TEST(LeftOut, OnlyTextsOfTheLeastLength) {
  const CreatePostRequest shorter = Request(std::string(kLeastLeftOut - 1, 'x'));
  EXPECT_FALSE(LeaveOut(AnswerTo(shorter), shorter).has_value());
  const CreatePostRequest long_enough = Request(std::string(kLeastLeftOut, 'x'));
  EXPECT_TRUE(LeaveOut(AnswerTo(long_enough), long_enough).has_value());
}

TEST(LeftOut, NotATextThatTheRequestDoesNotHave) {
  CreatePostResponse answer = AnswerTo(Request(std::string(300, 'x')));
  const CreatePostRequest other = Request(std::string(301, 'x'));
  EXPECT_FALSE(LeaveOut(answer, other).has_value());
  ExpectComesBack(answer, other);
}

TEST(LeftOut, FromBytesToo) {
  event::v1::SubscribeRequest request;
  request.add_types(std::string(300, 'a'));
  request.add_types(std::string(300, 'b'));
  event::v1::SubscribeResponse answer;
  answer.add_events()->mutable_payload()->set_value(std::string(300, 'b'));
  answer.set_feed_id(std::string(300, 'a'));
  EXPECT_LT(Form(answer, request).size(), 300u);
  ExpectComesBack(answer, request);
}

// Random answers, with texts of the request and others, come back as they were.
TEST(LeftOut, AnyAnswerComesBack) {
  std::mt19937 random(1);
  const auto below = [&](int end) { return std::uniform_int_distribution<int>(0, end - 1)(random); };
  const auto text = [&] {
    std::string made(static_cast<size_t>(below(600)), ' ');
    for (char& c : made) c = static_cast<char>('a' + below(3));
    return made;
  };
  int shorter = 0;
  for (int round = 0; round < 500; ++round) {
    BatchCreatePostsRequest request;
    for (int i = below(5); i > 0; --i) {
      auto* one = request.add_requests();
      one->set_title(text());
      one->set_content(below(4) == 0 && request.requests_size() > 1 ? request.requests(0).content() : text());
    }
    BatchCreatePostsResponse answer;
    for (const auto& one : request.requests()) {
      auto* post = answer.add_posts();
      post->set_title(below(3) == 0 ? text() : one.title());
      post->set_content(below(3) == 0 ? text() : one.content());
      post->set_id(below(1000));
      if (below(2) == 0) post->mutable_create_time()->set_seconds(below(1000));
    }
    if (Form(answer, request).size() < answer.ByteSizeLong()) ++shorter;
    ExpectComesBack(answer, request);
  }
  EXPECT_GT(shorter, 200);
}

// A title could look like what stands for a text. Then nothing is left out.
TEST(LeftOut, NobodyCanForgeWhatStandsForAText) {
  CreatePostRequest request = Request(std::string(300, 'x'));
  const CreatePostResponse honest = AnswerTo(request);
  CreatePostResponse stored;
  const std::string form = *LeaveOut(honest, request);
  ASSERT_TRUE(stored.ParseFromString(form.substr(form.find('\n') + 1)));
  request.set_title(stored.post().content());
  const CreatePostResponse forged = AnswerTo(request);
  EXPECT_FALSE(LeaveOut(forged, request).has_value());
  ExpectComesBack(forged, request);
}

// A release that does not know the short form parses what is stored as the answer. It must never get one.
TEST(LeftOut, TheShortFormIsNoMessage) {
  const CreatePostRequest request = Request(std::string(300, 'x'));
  const std::string form = *LeaveOut(AnswerTo(request), request);
  EXPECT_FALSE(CreatePostResponse().ParseFromString(form));
  EXPECT_FALSE(BatchCreatePostsResponse().ParseFromString(form));
  EXPECT_FALSE(user::v1::DeleteUserResponse().ParseFromString(form));
  EXPECT_FALSE(post::v1::LikePostResponse().ParseFromString(form)) << "a message without fields takes unknown ones";
}

TEST(LeftOut, IsNotMadeOfAnotherRequest) {
  const CreatePostRequest request = Request(std::string(300, 'x'));
  const std::string form = *LeaveOut(AnswerTo(request), request);
  CreatePostResponse answer;
  EXPECT_FALSE(FillIn(form, Request(std::string(300, 'y')), answer));
  EXPECT_FALSE(FillIn(form, CreatePostRequest(), answer));
}

// A later release may have left out a text of a field that this one does not know.
TEST(LeftOut, WhatIsInAnUnknownFieldIsMissed) {
  const CreatePostRequest request = Request(std::string(300, 'x'));
  const std::string form = *LeaveOut(AnswerTo(request), request);
  post::v1::LikePostResponse without_fields;
  EXPECT_FALSE(FillIn(form, request, without_fields));
}

TEST(LeftOut, DamageIsNoticed) {
  const CreatePostRequest request = Request(std::string(300, 'x'));
  const std::string form = *LeaveOut(AnswerTo(request), request);
  CreatePostResponse answer;
  for (const std::string& damaged : {form.substr(0, 1), form.substr(0, 3), form.substr(0, form.size() - 1),
                                     std::string("\x07") + "x\n", std::string("\x07") + "2" + form.substr(2)}) {
    EXPECT_FALSE(FillIn(damaged, request, answer)) << damaged;
  }
  EXPECT_TRUE(FillIn("", request, answer)) << "an answer without fields";
}

}  // namespace
}  // namespace crosskey::idempotency
