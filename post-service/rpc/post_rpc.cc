#include "post-service/rpc/post_rpc.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/rpc/etag.h"
#include "common/rpc/field_errors.h"
#include "common/rpc/page_token.h"
#include "common/status/errors.h"
#include "post-service/domain/limits.h"
#include "post-service/rpc/convert.h"

namespace crosskey::posts {
namespace {

using CreateLine = PostRpc::CreateLine;
using UpdateLine = PostRpc::UpdateLine;
using LikeLine = PostRpc::LikeLine;

// So many calls share a statement, at most. Each post can have 64 KiB.
constexpr size_t kGetBatch = 64;
constexpr int kGetLanes = 2;

template <typename Ids>
std::vector<RowId> RowIds(const Ids& ids) {
  std::vector<RowId> rows;
  for (const int64_t id : ids) rows.push_back(RowId{id});
  return rows;
}

template <typename Request>
Like LikeOf(const Request& request) {
  return {RowId{request.post_id()}, RowId{request.user_id()}, 0};
}

CreateLine::Method CreateMethod(Posts& posts) {
  return {"CreatePost",
          idempotency::LineOfWrites("create_post"),
          rpc::Waits::kMayAsk,
          [](const post::v1::CreatePostRequest& request) -> absl::StatusOr<NewPost> {
            CROSSKEY_ASSIGN_OR_RETURN(std::vector<NewPost> one, FromWire(request));
            return std::move(one.front());
          },
          [&posts](const Call& call, const auto& shares, const auto& record) {
            return posts.CreateTogether(call, shares, record);
          },
          [&posts](const Call& call, const NewPost& post, const idempotency::Record<Post>& record) {
            return posts.Create(call, {post}, [&record](db::Tx& tx, const std::vector<Post>& created) {
              return record(tx, created.front());
            });
          },
          [](const Post& post, post::v1::CreatePostResponse& response) { ToWire(post, response.mutable_post()); }};
}

UpdateLine::Method UpdateMethod(Posts& posts) {
  return {"UpdatePost",
          idempotency::LineOfWrites("update_post"),
          rpc::Waits::kMayAsk,
          [](const post::v1::UpdatePostRequest& request) { return FromWire(request); },
          [&posts](const Call& call, const auto& shares, const auto& record) {
            return posts.UpdateTogether(call, shares, record);
          },
          [&posts](const Call& call, const PostChange& change, const idempotency::Record<Post>& record) {
            return posts.Update(call, change, record);
          },
          [](const Post& post, post::v1::UpdatePostResponse& response) { ToWire(post, response.mutable_post()); }};
}

LikeLine::Method LikeMethod(Likes& likes) {
  return {"LikePost",
          idempotency::LineOfWrites("like_post"),
          rpc::Waits::kMayAsk,
          [](const post::v1::LikePostRequest& request) -> absl::StatusOr<Like> {
            CROSSKEY_RETURN_IF_ERROR(CheckLike(request));
            return LikeOf(request);
          },
          [&likes](const Call& call, const auto& shares, const auto& record) {
            return likes.AddTogether(call, shares, record);
          },
          [&likes](const Call& call, const Like& like, const idempotency::Record<Like>& record) {
            return likes.Add(call, like, record);
          },
          [](const Like&, post::v1::LikePostResponse&) {}};
}

}  // namespace

PostRpc::PostRpc(Posts& posts, Likes& likes, UserDirectory& users, rpc::Calls& calls, idempotency::Writes& writes)
    : posts_(posts),
      likes_(likes),
      calls_(calls),
      writes_(writes),
      users_(users, calls.lines().workers()),
      create_(writes, CreateMethod(posts)),
      update_(writes, UpdateMethod(posts)),
      like_(writes, LikeMethod(likes)),
      get_(calls.lines().workers(), {"get_post", kGetBatch, kGetLanes, batch::kPatience},
           [this](std::vector<GetCall> together) { GetTogether(std::move(together)); }) {
  for (const char* method : {"CreatePost", "UpdatePost"}) {
    calls.TakeUpTo(method, kPostRequestKibibytes * limits::kKibibyte);
  }
  calls.TakeUpTo("BatchCreatePosts", kBatchCreateBytes);
}

grpc::ServerUnaryReactor* PostRpc::CreatePost(grpc::CallbackServerContext* context,
                                              const post::v1::CreatePostRequest* request,
                                              post::v1::CreatePostResponse* response) {
  return create_.Take(*context, request, response);
}

grpc::ServerUnaryReactor* PostRpc::BatchCreatePosts(grpc::CallbackServerContext* context,
                                                    const post::v1::BatchCreatePostsRequest* request,
                                                    post::v1::BatchCreatePostsResponse* response) {
  return writes_.Run(*context, "BatchCreatePosts", rpc::Waits::kMayAsk, *request, *response,
                     [this, request, response](const Call& call, idempotency::Recorder& recorder) -> absl::Status {
                       CROSSKEY_ASSIGN_OR_RETURN(const std::vector<NewPost> posts, FromWire(*request));
                       return posts_.Create(call, posts,
                                            recorder.Of<std::vector<Post>>([&](const std::vector<Post>& created) {
                                              for (const Post& post : created) ToWire(post, response->add_posts());
                                            }));
                     });
}

grpc::ServerUnaryReactor* PostRpc::GetPost(grpc::CallbackServerContext* context,
                                           const post::v1::GetPostRequest* request,
                                           post::v1::GetPostResponse* response) {
  return calls_.Take(*context, "GetPost", *request, [&](rpc::PendingCall* call) {
    rpc::FieldErrors errors;
    errors.RequireId("id", request->id());
    if (!errors.status().ok()) return call->End(errors.status());
    get_.Add({call, request, response});
  });
}

// Reads the posts of all calls by one statement.
void PostRpc::GetTogether(std::vector<GetCall> calls) {
  rpc::EndThoseThatAreLate(calls);
  if (calls.empty()) return;
  std::vector<RowId> ids;
  for (const GetCall& each : calls) ids.push_back(RowId{each.request->id()});
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  const absl::StatusOr<std::vector<Post>> posts = posts_.BatchGet(rpc::CallOfAll(calls), ids);
  for (GetCall& each : calls) {
    if (!posts.ok()) {
      each.call->End(posts.status());
      continue;
    }
    const RowId id{each.request->id()};
    const auto post = std::lower_bound(posts->begin(), posts->end(), id,
                                       [](const Post& left, RowId right) { return left.id < right; });
    if (post == posts->end() || post->id != id) {
      each.call->End(errors::NotFound(kPostType, id));
      continue;
    }
    ToWire(*post, each.response->mutable_post());
    if (!each.request->include_user()) {
      each.call->End(absl::OkStatus());
      continue;
    }
    const int64_t user_id = Value(post->user_id);
    users_.Add(each.call, {user_id}, [response = each.response, user_id](const IncludedUsers::Users& users) {
      const auto user = users.find(user_id);
      if (user != users.end()) *response->mutable_user() = user->second;
    });
  }
}

grpc::ServerUnaryReactor* PostRpc::BatchGetPosts(grpc::CallbackServerContext* context,
                                                 const post::v1::BatchGetPostsRequest* request,
                                                 post::v1::BatchGetPostsResponse* response) {
  return calls_.UnaryThen(
      *context, "BatchGetPosts", rpc::Waits::kReads, *request,
      [this, request, response](const Call& call) -> absl::Status {
        rpc::FieldErrors errors;
        errors.RequireIds("ids", request->ids(), 1, kBatchPostIds);
        CROSSKEY_RETURN_IF_ERROR(errors.status());
        CROSSKEY_ASSIGN_OR_RETURN(const auto found, posts_.BatchGet(call, RowIds(request->ids())));
        std::map<int64_t, const Post*> by_id;
        for (const Post& post : found) by_id[Value(post.id)] = &post;
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
        return absl::OkStatus();
      },
      [this, request, response](rpc::PendingCall* call) {
        if (!request->include_users()) return call->End(absl::OkStatus());
        users_.AddTo(call, response, response->posts());
      });
}

grpc::ServerUnaryReactor* PostRpc::ListPosts(grpc::CallbackServerContext* context,
                                             const post::v1::ListPostsRequest* request,
                                             post::v1::ListPostsResponse* response) {
  return calls_.UnaryThen(
      *context, "ListPosts", rpc::Waits::kReads, *request,
      [this, request, response](const Call& call) -> absl::Status {
        rpc::FieldErrors errors;
        PostQuery query{RowId{request->user_id()},
                        {0, rpc::PageSize(request->page_size(), errors), request->newest_first()}};
        if (request->user_id() < 0) errors.RequireId("user_id", request->user_id());
        CROSSKEY_RETURN_IF_ERROR(errors.status());
        const std::string list = absl::StrCat("ListPosts\n", request->user_id(), "\n", request->newest_first());
        CROSSKEY_ASSIGN_OR_RETURN(query.start.after, rpc::DecodePageToken(list, request->page_token()));
        CROSSKEY_ASSIGN_OR_RETURN(const Page<Post> page, posts_.List(call, query));
        for (const Post& post : page.rows) ToWire(post, response->add_posts());
        if (page.next.has_value()) response->set_next_page_token(rpc::EncodePageToken(list, *page.next));
        return absl::OkStatus();
      },
      [this, request, response](rpc::PendingCall* call) {
        if (!request->include_users()) return call->End(absl::OkStatus());
        users_.AddTo(call, response, response->posts());
      });
}

grpc::ServerUnaryReactor* PostRpc::UpdatePost(grpc::CallbackServerContext* context,
                                              const post::v1::UpdatePostRequest* request,
                                              post::v1::UpdatePostResponse* response) {
  return update_.Take(*context, request, response);
}

grpc::ServerUnaryReactor* PostRpc::DeletePost(grpc::CallbackServerContext* context,
                                              const post::v1::DeletePostRequest* request,
                                              post::v1::DeletePostResponse* response) {
  return writes_.Run(*context, "DeletePost", rpc::Waits::kWrites, *request, *response,
                     [this, request, response](const Call& call, idempotency::Recorder& recorder) -> absl::Status {
                       CROSSKEY_RETURN_IF_ERROR(CheckDelete(*request));
                       const absl::Status status =
                           posts_.Delete(call, RowId{request->id()}, rpc::VersionOf(request->etag()),
                                         recorder.Of<Post>([](const Post&) {}));
                       return request->allow_missing() && absl::IsNotFound(status) ? absl::OkStatus() : status;
                     });
}

grpc::ServerUnaryReactor* PostRpc::LikePost(grpc::CallbackServerContext* context,
                                            const post::v1::LikePostRequest* request,
                                            post::v1::LikePostResponse* response) {
  return like_.Take(*context, request, response);
}

grpc::ServerUnaryReactor* PostRpc::UnlikePost(grpc::CallbackServerContext* context,
                                              const post::v1::UnlikePostRequest* request,
                                              post::v1::UnlikePostResponse* response) {
  return writes_.Run(*context, "UnlikePost", rpc::Waits::kWrites, *request, *response,
                     [this, request, response](const Call& call, idempotency::Recorder& recorder) -> absl::Status {
                       CROSSKEY_RETURN_IF_ERROR(CheckLike(*request));
                       return likes_.Remove(call, LikeOf(*request), recorder.Of<Like>([](const Like&) {}));
                     });
}

grpc::ServerUnaryReactor* PostRpc::ListPostLikes(grpc::CallbackServerContext* context,
                                                 const post::v1::ListPostLikesRequest* request,
                                                 post::v1::ListPostLikesResponse* response) {
  return calls_.UnaryThen(
      *context, "ListPostLikes", rpc::Waits::kReads, *request,
      [this, request, response](const Call& call) -> absl::Status {
        rpc::FieldErrors errors;
        errors.RequireId("post_id", request->post_id());
        const int64_t size = rpc::PageSize(request->page_size(), errors);
        CROSSKEY_RETURN_IF_ERROR(errors.status());
        const std::string list = absl::StrCat("ListPostLikes\n", request->post_id());
        CROSSKEY_ASSIGN_OR_RETURN(const int64_t after, rpc::DecodePageToken(list, request->page_token()));
        CROSSKEY_ASSIGN_OR_RETURN(const Page<Like> page, likes_.OfPost(call, RowId{request->post_id()}, after, size));
        for (const Like& like : page.rows) ToWire(like, response->add_likes());
        if (page.next.has_value()) response->set_next_page_token(rpc::EncodePageToken(list, *page.next));
        return absl::OkStatus();
      },
      [this, request, response](rpc::PendingCall* call) {
        if (!request->include_users()) return call->End(absl::OkStatus());
        users_.AddTo(call, response, response->likes());
      });
}

grpc::ServerUnaryReactor* PostRpc::ListLikedPosts(grpc::CallbackServerContext* context,
                                                  const post::v1::ListLikedPostsRequest* request,
                                                  post::v1::ListLikedPostsResponse* response) {
  return calls_.UnaryThen(
      *context, "ListLikedPosts", rpc::Waits::kReads, *request,
      [this, request, response](const Call& call) -> absl::Status {
        rpc::FieldErrors errors;
        errors.RequireId("user_id", request->user_id());
        const int64_t size = rpc::PageSize(request->page_size(), errors);
        CROSSKEY_RETURN_IF_ERROR(errors.status());
        const std::string list = absl::StrCat("ListLikedPosts\n", request->user_id());
        CROSSKEY_ASSIGN_OR_RETURN(const int64_t after, rpc::DecodePageToken(list, request->page_token()));
        CROSSKEY_ASSIGN_OR_RETURN(const Page<Post> page, likes_.OfUser(call, RowId{request->user_id()}, after, size));
        for (const Post& post : page.rows) ToWire(post, response->add_posts());
        if (page.next.has_value()) response->set_next_page_token(rpc::EncodePageToken(list, *page.next));
        return absl::OkStatus();
      },
      [this, request, response](rpc::PendingCall* call) {
        if (!request->include_users()) return call->End(absl::OkStatus());
        users_.AddTo(call, response, response->posts());
      });
}

}  // namespace crosskey::posts
