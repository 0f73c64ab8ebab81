// Serves post.v1.PostService. Each method checks and converts the request, calls the domain, and converts the result.
#pragma once

#include "common/idempotency/write_line_rpc.h"
#include "common/rpc/calls.h"
#include "common/rpc/together.h"
#include "post-service/domain/likes.h"
#include "post-service/domain/posts.h"
#include "post-service/peers/user_directory.h"
#include "post-service/rpc/included_users.h"
#include "post/v1/post_service.grpc.pb.h"

namespace crosskey::posts {

class PostRpc final : public post::v1::PostService::CallbackService {
 public:
  using CreateLine = idempotency::WriteLine<post::v1::CreatePostRequest, post::v1::CreatePostResponse, NewPost, Post>;
  using UpdateLine =
      idempotency::WriteLine<post::v1::UpdatePostRequest, post::v1::UpdatePostResponse, PostChange, Post>;
  using LikeLine = idempotency::WriteLine<post::v1::LikePostRequest, post::v1::LikePostResponse, Like, Like>;

  PostRpc(Posts& posts, Likes& likes, UserDirectory& users, rpc::Calls& calls, idempotency::Writes& writes);

  grpc::ServerUnaryReactor* CreatePost(grpc::CallbackServerContext* context, const post::v1::CreatePostRequest* request,
                                       post::v1::CreatePostResponse* response) override;
  grpc::ServerUnaryReactor* BatchCreatePosts(grpc::CallbackServerContext* context,
                                             const post::v1::BatchCreatePostsRequest* request,
                                             post::v1::BatchCreatePostsResponse* response) override;
  grpc::ServerUnaryReactor* GetPost(grpc::CallbackServerContext* context, const post::v1::GetPostRequest* request,
                                    post::v1::GetPostResponse* response) override;
  grpc::ServerUnaryReactor* BatchGetPosts(grpc::CallbackServerContext* context,
                                          const post::v1::BatchGetPostsRequest* request,
                                          post::v1::BatchGetPostsResponse* response) override;
  grpc::ServerUnaryReactor* ListPosts(grpc::CallbackServerContext* context, const post::v1::ListPostsRequest* request,
                                      post::v1::ListPostsResponse* response) override;
  grpc::ServerUnaryReactor* UpdatePost(grpc::CallbackServerContext* context, const post::v1::UpdatePostRequest* request,
                                       post::v1::UpdatePostResponse* response) override;
  grpc::ServerUnaryReactor* DeletePost(grpc::CallbackServerContext* context, const post::v1::DeletePostRequest* request,
                                       post::v1::DeletePostResponse* response) override;
  grpc::ServerUnaryReactor* LikePost(grpc::CallbackServerContext* context, const post::v1::LikePostRequest* request,
                                     post::v1::LikePostResponse* response) override;
  grpc::ServerUnaryReactor* UnlikePost(grpc::CallbackServerContext* context, const post::v1::UnlikePostRequest* request,
                                       post::v1::UnlikePostResponse* response) override;
  grpc::ServerUnaryReactor* ListPostLikes(grpc::CallbackServerContext* context,
                                          const post::v1::ListPostLikesRequest* request,
                                          post::v1::ListPostLikesResponse* response) override;
  grpc::ServerUnaryReactor* ListLikedPosts(grpc::CallbackServerContext* context,
                                           const post::v1::ListLikedPostsRequest* request,
                                           post::v1::ListLikedPostsResponse* response) override;

 private:
  using GetCall = rpc::Asked<post::v1::GetPostRequest, post::v1::GetPostResponse>;

  void GetTogether(std::vector<GetCall> calls);

  Posts& posts_;
  Likes& likes_;
  rpc::Calls& calls_;
  idempotency::Writes& writes_;
  IncludedUsers users_;
  CreateLine create_;
  UpdateLine update_;
  LikeLine like_;
  batch::Line<GetCall> get_;
};

}  // namespace crosskey::posts
