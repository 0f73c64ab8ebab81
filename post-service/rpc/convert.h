// Between the wire and the domain.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "post-service/domain/posts.h"
#include "post/v1/post_service.pb.h"

namespace crosskey::posts {

void ToWire(const Post& post, post::v1::Post* out);

// INVALID_ARGUMENT INVALID_FIELD, with every bad field.
absl::StatusOr<std::vector<NewPost>> FromWire(const post::v1::CreatePostRequest& request);
absl::StatusOr<std::vector<NewPost>> FromWire(const post::v1::BatchCreatePostsRequest& request);
absl::StatusOr<PostChange> FromWire(const post::v1::UpdatePostRequest& request);

}  // namespace crosskey::posts
