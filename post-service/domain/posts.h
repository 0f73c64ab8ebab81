// What can be done with posts.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/relation/guard.h"
#include "post-service/storage/post_store.h"

namespace crosskey::posts {

struct NewPost {
  std::string title;
  std::string content;
  int64_t user_id = 0;
};

struct PostChange {
  int64_t id = 0;
  std::optional<int64_t> version;  // change only if the post still has it
  std::optional<std::string> title;
  std::optional<std::string> content;
  std::optional<int64_t> user_id;
};

// Thread-safe. Arguments are valid: rpc has checked them. Writes give the errors of relation::Guard::Write besides
// their own.
class Posts {
 public:
  Posts(PostStore& store, relation::Guard& users) : store_(store), users_(users) {}

  // All or none, in one transaction; the results are in the order of the arguments.
  absl::StatusOr<std::vector<Post>> Create(const Call& call, const std::vector<NewPost>& posts);
  // NOT_FOUND POST_NOT_FOUND.
  absl::StatusOr<Post> Get(const Call& call, int64_t id);
  // Those that exist, by ascending id.
  absl::StatusOr<std::vector<Post>> BatchGet(const Call& call, const std::vector<int64_t>& ids);
  absl::StatusOr<Page> List(const Call& call, const PageQuery& query);
  // NOT_FOUND POST_NOT_FOUND, ABORTED ETAG_MISMATCH. A change to what is there already changes nothing, the etag
  // included.
  absl::StatusOr<Post> Update(const Call& call, const PostChange& change);
  // NOT_FOUND POST_NOT_FOUND, ABORTED ETAG_MISMATCH.
  absl::Status Delete(const Call& call, int64_t id, std::optional<int64_t> version);

 private:
  // Runs `body` with the post, locked, in a transaction that holds the references to its user and to `new_user`.
  absl::Status WriteExisting(const Call& call, int64_t id, std::optional<int64_t> version,
                             std::optional<int64_t> new_user, const std::function<absl::Status(PostTx&, Post&)>& body);

  PostStore& store_;
  relation::Guard& users_;
};

}  // namespace crosskey::posts
