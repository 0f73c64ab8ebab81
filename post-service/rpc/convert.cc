#include "post-service/rpc/convert.h"

#include "absl/strings/str_cat.h"
#include "common/rpc/etag.h"
#include "common/rpc/field_mask.h"
#include "common/rpc/text.h"
#include "common/rpc/timestamp.h"
#include "post-service/domain/limits.h"

namespace crosskey::posts {
namespace {

const rpc::TextRule kTitle{1, 100, 0, false, false};
const rpc::TextRule kContent{0, 0, 65'535, true, false};

NewPost Check(const post::v1::CreatePostRequest& request, const std::string& prefix, rpc::FieldErrors& errors) {
  rpc::CheckText(prefix + "title", request.title(), kTitle, errors);
  rpc::CheckText(prefix + "content", request.content(), kContent, errors);
  errors.RequireId(prefix + "user_id", request.user_id());
  return {request.title(), request.content(), RowId{request.user_id()}};
}

}  // namespace

void ToWire(const Post& post, post::v1::Post* out) {
  out->set_id(Value(post.id));
  out->set_uid(post.uid);
  out->set_title(post.title);
  out->set_user_id(Value(post.user_id));
  out->set_content(post.content);
  out->set_like_count(post.like_count);
  rpc::SetTimestamp(post.create_time, out->mutable_create_time());
  rpc::SetTimestamp(post.update_time, out->mutable_update_time());
  out->set_etag(rpc::EtagOf(post.version));
}

void ToWire(const Like& like, post::v1::Like* out) {
  out->set_post_id(Value(like.post_id));
  out->set_user_id(Value(like.user_id));
  rpc::SetTimestamp(like.create_time, out->mutable_create_time());
}

absl::StatusOr<std::vector<NewPost>> FromWire(const post::v1::CreatePostRequest& request) {
  rpc::FieldErrors errors;
  std::vector<NewPost> posts = {Check(request, "", errors)};
  errors.CheckRequestId("request_id", request.request_id());
  CROSSKEY_RETURN_IF_ERROR(errors.status());
  return posts;
}

absl::StatusOr<std::vector<NewPost>> FromWire(const post::v1::BatchCreatePostsRequest& request) {
  rpc::FieldErrors errors;
  errors.RequireCount("requests", request.requests_size(), 1, limits::kBatchIds);
  CROSSKEY_RETURN_IF_ERROR(errors.status());
  errors.CheckRequestId("request_id", request.request_id());
  std::vector<NewPost> posts;
  for (int i = 0; i < request.requests_size(); ++i) {
    const std::string prefix = absl::StrCat("requests[", i, "].");
    posts.push_back(Check(request.requests(i), prefix, errors));
    if (!request.requests(i).request_id().empty()) {
      errors.Add(prefix + "request_id", "must be empty: the batch has one for all");
    }
  }
  CROSSKEY_RETURN_IF_ERROR(errors.status());
  return posts;
}

absl::Status CheckDelete(const post::v1::DeletePostRequest& request) {
  rpc::FieldErrors errors;
  errors.RequireId("id", request.id());
  errors.CheckRequestId("request_id", request.request_id());
  return errors.status();
}

absl::StatusOr<PostChange> FromWire(const post::v1::UpdatePostRequest& request) {
  rpc::FieldErrors errors;
  const post::v1::Post& post = request.post();
  errors.RequireId("post.id", post.id());
  errors.CheckRequestId("request_id", request.request_id());
  const auto fields = rpc::FieldsToUpdate(request.has_update_mask() ? &request.update_mask() : nullptr, post,
                                          {"title", "content", "user_id"}, errors);
  PostChange change;
  change.id = RowId{post.id()};
  change.version = rpc::VersionOf(post.etag());
  if (fields.count("title") > 0) {
    rpc::CheckText("post.title", post.title(), kTitle, errors);
    change.title = post.title();
  }
  if (fields.count("content") > 0) {
    rpc::CheckText("post.content", post.content(), kContent, errors);
    change.content = post.content();
  }
  if (fields.count("user_id") > 0) {
    errors.RequireId("post.user_id", post.user_id());
    change.user_id = RowId{post.user_id()};
  }
  CROSSKEY_RETURN_IF_ERROR(errors.status());
  return change;
}

}  // namespace crosskey::posts
