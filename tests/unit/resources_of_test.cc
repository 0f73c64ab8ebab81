#include "common/rpc/resources_of.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "post/v1/post_service.pb.h"
#include "relation/v1/reference_service.pb.h"
#include "user/v1/user_service.pb.h"

namespace crosskey::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(ResourcesOfTest, ACreateHasItsIdInTheResponse) {
  post::v1::CreatePostRequest request;
  request.set_user_id(7);
  request.set_title("7");
  post::v1::CreatePostResponse response;
  response.mutable_post()->set_id(5);
  response.mutable_post()->set_user_id(7);
  EXPECT_THAT(ResourcesOf("CreatePost", request, &response).names, ElementsAre("posts/5", "users/7"));
  EXPECT_THAT(ResourcesOf("CreatePost", request, nullptr).names, ElementsAre("users/7"));
}

TEST(ResourcesOfTest, APlainIdIsOfTheTypeOfTheMethod) {
  post::v1::DeletePostRequest request;
  request.set_id(5);
  EXPECT_THAT(ResourcesOf("DeletePost", request, nullptr).names, ElementsAre("posts/5"));
}

TEST(ResourcesOfTest, ADeletionHasItsId) {
  user::v1::DeleteUserRequest request;
  request.set_id(7);
  user::v1::DeleteUserResponse response;
  response.mutable_deletion()->set_user_id(7);
  response.mutable_deletion()->set_deletion_id(3);
  response.mutable_deletion()->set_posts(12);
  const Resources found = ResourcesOf("DeleteUser", request, &response);
  EXPECT_THAT(found.names, ElementsAre("users/7"));
  EXPECT_EQ(found.deletion_id, 3);
}

TEST(ResourcesOfTest, AReleaseSaysTheType) {
  ::relation::v1::ReleaseReferencedRequest request;
  request.set_type("user.v1.User");
  request.set_id(7);
  request.set_deletion_id(3);
  request.set_as_of_sequence(99);
  const Resources found = ResourcesOf("ReleaseReferenced", request, nullptr);
  EXPECT_THAT(found.names, ElementsAre("users/7"));
  EXPECT_EQ(found.deletion_id, 3);
}

TEST(ResourcesOfTest, APinNamesAPost) {
  user::v1::UpdateUserRequest request;
  request.mutable_user()->set_id(7);
  request.mutable_user()->set_pinned_post_id(5);
  request.mutable_user()->set_username("ada");
  EXPECT_THAT(ResourcesOf("UpdateUser", request, nullptr).names, ElementsAre("users/7", "posts/5"));
}

TEST(ResourcesOfTest, OfABatchTheFirstTenAreNamed) {
  post::v1::BatchCreatePostsRequest request;
  post::v1::BatchCreatePostsResponse response;
  for (int i = 1; i <= 12; ++i) {
    request.add_requests()->set_user_id(1);
    response.add_posts()->set_id(i);
  }
  const Resources found = ResourcesOf("BatchCreatePosts", request, &response);
  EXPECT_THAT(found.names, SizeIs(10));
  EXPECT_EQ(found.names.front(), "posts/1");
  EXPECT_EQ(found.more, 3);  // two posts, and the user
}

TEST(ResourcesOfTest, NothingIsNothing) {
  EXPECT_THAT(ResourcesOf("CreateUser", user::v1::CreateUserRequest(), nullptr).names, IsEmpty());
}

}  // namespace
}  // namespace crosskey::rpc
