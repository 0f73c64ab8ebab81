// Writing to a post that is there already.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/relation/guard.h"
#include "post-service/storage/post_store.h"

namespace crosskey::posts {

// Thread-safe.
class ExistingPost {
 public:
  ExistingPost(PostStore& store, relation::Guard& users) : store_(store), users_(users) {}

  struct Target {
    int64_t id = 0;
    std::optional<int64_t> version;  // only if the post still has it
    std::optional<int64_t> user;     // a further user that the write refers to
    std::string relationship;        // by which it does
    // Of both users. kMissing: nobody is asked about them.
    relation::Guard::Unknown if_unknown = relation::Guard::Unknown::kAsk;
  };

  // Runs `body` with the post, locked, in a transaction that holds the references to its author and to `target.user`.
  // NOT_FOUND POST_NOT_FOUND (the author is gone, or the post alone), ABORTED ETAG_MISMATCH, and the errors of
  // relation::Guard::Write about the further user.
  absl::Status Write(const Call& call, const Target& target, const std::function<absl::Status(PostTx&, Post&)>& body);

 private:
  absl::StatusOr<Post> Get(const Call& call, int64_t id);

  PostStore& store_;
  relation::Guard& users_;
};

}  // namespace crosskey::posts
