#include "post-service/rpc/post_rpc.h"

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/rpc/etag.h"
#include "common/rpc/field_errors.h"
#include "common/rpc/page_token.h"
#include "common/status/limits.h"
#include "post-service/rpc/convert.h"

namespace crosskey::posts {
namespace {

template <typename PostMessages>
std::set<int64_t> UsersOf(const PostMessages& posts) {
  std::set<int64_t> ids;
  for (const post::v1::Post& post : posts) ids.insert(post.user_id());
  return ids;
}

}  // namespace

grpc::Status PostRpc::CreatePost(grpc::ServerContext* context, const post::v1::CreatePostRequest* request,
                                 post::v1::CreatePostResponse* response) {
  return calls_.Unary(*context, "CreatePost", [&](const Call& call) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const std::vector<NewPost> posts, FromWire(*request));
    CROSSKEY_ASSIGN_OR_RETURN(const std::vector<Post> created, posts_.Create(call, posts));
    ToWire(created.front(), response->mutable_post());
    return absl::OkStatus();
  });
}

grpc::Status PostRpc::BatchCreatePosts(grpc::ServerContext* context, const post::v1::BatchCreatePostsRequest* request,
                                       post::v1::BatchCreatePostsResponse* response) {
  return calls_.Unary(*context, "BatchCreatePosts", [&](const Call& call) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const std::vector<NewPost> posts, FromWire(*request));
    CROSSKEY_ASSIGN_OR_RETURN(const std::vector<Post> created, posts_.Create(call, posts));
    for (const Post& post : created) ToWire(post, response->add_posts());
    return absl::OkStatus();
  });
}

grpc::Status PostRpc::GetPost(grpc::ServerContext* context, const post::v1::GetPostRequest* request,
                              post::v1::GetPostResponse* response) {
  return calls_.Unary(*context, "GetPost", [&](const Call& call) -> absl::Status {
    rpc::FieldErrors errors;
    errors.RequireId("id", request->id());
    CROSSKEY_RETURN_IF_ERROR(errors.status());
    CROSSKEY_ASSIGN_OR_RETURN(const Post post, posts_.Get(call, request->id()));
    ToWire(post, response->mutable_post());
    if (!request->include_user()) return absl::OkStatus();
    google::protobuf::Map<int64_t, user::v1::User> users;
    CROSSKEY_RETURN_IF_ERROR(users_.Fetch(call, {post.user_id}, users));
    if (users.count(post.user_id) > 0) *response->mutable_user() = users[post.user_id];
    return absl::OkStatus();
  });
}

grpc::Status PostRpc::BatchGetPosts(grpc::ServerContext* context, const post::v1::BatchGetPostsRequest* request,
                                    post::v1::BatchGetPostsResponse* response) {
  return calls_.Unary(*context, "BatchGetPosts", [&](const Call& call) -> absl::Status {
    rpc::FieldErrors errors;
    errors.RequireIds("ids", request->ids(), 1, limits::kBatchPostIds);
    CROSSKEY_RETURN_IF_ERROR(errors.status());
    CROSSKEY_ASSIGN_OR_RETURN(const auto found, posts_.BatchGet(call, {request->ids().begin(), request->ids().end()}));
    std::map<int64_t, const Post*> by_id;
    for (const Post& post : found) by_id[post.id] = &post;
    std::set<int64_t> answered;
    for (const int64_t id : request->ids()) {
      if (!answered.insert(id).second) continue;
      const auto post = by_id.find(id);
      if (post == by_id.end()) {
        response->add_not_found_ids(id);
      } else {
        ToWire(*post->second, response->add_posts());
      }
    }
    if (!request->include_users()) return absl::OkStatus();
    return users_.Fetch(call, UsersOf(response->posts()), *response->mutable_users());
  });
}

grpc::Status PostRpc::ListPosts(grpc::ServerContext* context, const post::v1::ListPostsRequest* request,
                                post::v1::ListPostsResponse* response) {
  return calls_.Unary(*context, "ListPosts", [&](const Call& call) -> absl::Status {
    rpc::FieldErrors errors;
    PageQuery query{request->user_id(), request->newest_first(), 0, rpc::PageSize(request->page_size(), errors)};
    if (request->user_id() < 0) errors.RequireId("user_id", request->user_id());
    CROSSKEY_RETURN_IF_ERROR(errors.status());
    const std::string list = absl::StrCat("ListPosts\n", request->user_id(), "\n", request->newest_first());
    CROSSKEY_ASSIGN_OR_RETURN(query.after, rpc::DecodePageToken(list, request->page_token()));
    CROSSKEY_ASSIGN_OR_RETURN(const Page page, posts_.List(call, query));
    for (const Post& post : page.posts) ToWire(post, response->add_posts());
    if (page.next.has_value()) response->set_next_page_token(rpc::EncodePageToken(list, *page.next));
    if (!request->include_users()) return absl::OkStatus();
    return users_.Fetch(call, UsersOf(response->posts()), *response->mutable_users());
  });
}

grpc::Status PostRpc::UpdatePost(grpc::ServerContext* context, const post::v1::UpdatePostRequest* request,
                                 post::v1::UpdatePostResponse* response) {
  return calls_.Unary(*context, "UpdatePost", [&](const Call& call) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const PostChange change, FromWire(*request));
    CROSSKEY_ASSIGN_OR_RETURN(const Post post, posts_.Update(call, change));
    ToWire(post, response->mutable_post());
    return absl::OkStatus();
  });
}

grpc::Status PostRpc::DeletePost(grpc::ServerContext* context, const post::v1::DeletePostRequest* request,
                                 post::v1::DeletePostResponse*) {
  return calls_.Unary(*context, "DeletePost", [&](const Call& call) -> absl::Status {
    rpc::FieldErrors errors;
    errors.RequireId("id", request->id());
    CROSSKEY_RETURN_IF_ERROR(errors.status());
    const absl::Status status = posts_.Delete(call, request->id(), rpc::VersionOf(request->etag()));
    return request->allow_missing() && absl::IsNotFound(status) ? absl::OkStatus() : status;
  });
}

}  // namespace crosskey::posts
