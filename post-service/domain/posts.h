// What can be done with posts.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/idempotency/together.h"
#include "common/relation/child/hidden_rows.h"
#include "post-service/domain/existing_post.h"

namespace crosskey::posts {

struct NewPost {
  std::string title;
  std::string content;
  RowId user_id{};
};

struct PostChange {
  RowId id{};
  std::optional<int64_t> version;  // change only if the post still has this version
  std::optional<std::string> title;
  std::optional<std::string> content;
  std::optional<RowId> user_id;
};

// Thread-safe. Arguments are valid: rpc/ has checked them. Each write hands its result to `record` in the transaction
// of its effect, so that the answer is stored with it. Writes give the errors of relation::Guard::Write besides their
// own.
class Posts {
 public:
  // `hidden` hides the posts that are deleted. `on_deleted` is called after each deletion, because there are hidden
  // rows to remove then.
  Posts(PostStore& store, relation::Guard& users, const relation::HiddenRows& hidden, std::function<void()> on_deleted)
      : store_(store), users_(users), hidden_(hidden), existing_(store, users), on_deleted_(std::move(on_deleted)) {}

  // Creates all posts or none, in one transaction. The results are in the order of the arguments.
  absl::Status Create(const Call& call, const std::vector<NewPost>& posts,
                      const idempotency::Record<std::vector<Post>>& record);
  // Creates posts of several calls, those that it can, in one transaction.
  absl::StatusOr<idempotency::Outcomes> CreateTogether(const Call& call,
                                                       const std::vector<idempotency::Share<NewPost>>& shares,
                                                       const idempotency::RecordAll<Post>& record);
  // NOT_FOUND POST_NOT_FOUND.
  absl::StatusOr<Post> Get(const Call& call, RowId id);
  // Returns the posts that exist, by ascending id.
  absl::StatusOr<std::vector<Post>> BatchGet(const Call& call, const std::vector<RowId>& ids);
  absl::StatusOr<Page<Post>> List(const Call& call, const PostQuery& query);
  // A change to the values that the post already has changes nothing, not even the etag. NOT_FOUND POST_NOT_FOUND,
  // ABORTED ETAG_MISMATCH.
  absl::Status Update(const Call& call, const PostChange& change, const idempotency::Record<Post>& record);
  // Changes posts of several calls, those that it can, in one transaction.
  absl::StatusOr<idempotency::Outcomes> UpdateTogether(const Call& call,
                                                       const std::vector<idempotency::Share<PostChange>>& shares,
                                                       const idempotency::RecordAll<Post>& record);
  // Hides the post. The post and its likes are removed later. NOT_FOUND POST_NOT_FOUND, ABORTED ETAG_MISMATCH.
  absl::Status Delete(const Call& call, RowId id, std::optional<int64_t> version,
                      const idempotency::Record<Post>& record);

 private:
  PostStore& store_;
  relation::Guard& users_;
  const relation::HiddenRows& hidden_;
  ExistingPost existing_;
  const std::function<void()> on_deleted_;
};

}  // namespace crosskey::posts
