// Checks requests, and converts between the messages of the wire and the types of the domain.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "common/rpc/field_errors.h"
#include "post-service/domain/likes.h"
#include "post-service/domain/posts.h"
#include "post/v1/post_service.pb.h"

namespace crosskey::posts {

void ToWire(const Post& post, post::v1::Post* out);
void ToWire(const Like& like, post::v1::Like* out);

// These functions check a request, and FromWire also converts it. INVALID_ARGUMENT INVALID_FIELD, with every bad field;
// but if a batch has no posts, too many posts or too many bytes, its posts are not looked at.
absl::StatusOr<std::vector<NewPost>> FromWire(const post::v1::CreatePostRequest& request);
absl::StatusOr<std::vector<NewPost>> FromWire(const post::v1::BatchCreatePostsRequest& request);
absl::Status CheckDelete(const post::v1::DeletePostRequest& request);
// `Request` is LikePostRequest or UnlikePostRequest.
template <typename Request>
absl::Status CheckLike(const Request& request) {
  rpc::FieldErrors errors;
  errors.RequireId("post_id", request.post_id());
  errors.RequireId("user_id", request.user_id());
  errors.CheckRequestId("request_id", request.request_id());
  return errors.status();
}
absl::StatusOr<PostChange> FromWire(const post::v1::UpdatePostRequest& request);

}  // namespace crosskey::posts
