// Runs writes to a post that exists already.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "common/idempotency/together.h"
#include "common/relation/child/guard.h"
#include "common/status/limits.h"
#include "post-service/storage/post_store.h"

namespace crosskey::posts {

// Thread-safe.
class ExistingPost {
 public:
  ExistingPost(PostStore& store, relation::Guard& users) : store_(store), users_(users) {}

  // In whose name a write is, if the caller is bound to a user: only the author, or only `Target::user`, may do it.
  // Whoever changes a post's author has to be both.
  enum class Writer { kAuthor, kUser };

  struct Target {
    RowId id{};
    std::optional<int64_t> version;  // write only if the post still has this version
    std::optional<RowId> user;       // another user that the write refers to, besides the author
    std::string relationship;        // named in errors about a user
    // What to do if the author or `user` has no reference row. kMissing: nobody is asked, the user counts as deleted.
    relation::Guard::Unknown if_unknown = relation::Guard::Unknown::kAsk;
    Writer writer = Writer::kUser;
    const Call* call = nullptr;  // of a write that shares its transaction

    // PERMISSION_DENIED: the caller is bound to another user. `author`: nullopt, there is no such post.
    absl::Status MayWrite(const Call& by, std::optional<RowId> author) const;
  };

  // Runs `body` with the post, locked, in a transaction that holds the references to its author and to `target.user`.
  // NOT_FOUND POST_NOT_FOUND (the post or its author is deleted), ABORTED ETAG_MISMATCH, ABORTED CONFLICT (the post has
  // moved to another user at each of 5 attempts), and the errors of relation::Guard::Write about `target.user`.
  // PERMISSION_DENIED: the caller may not write in that name, whether or not there is such a post.
  absl::Status Write(const Call& call, const Target& target, absl::FunctionRef<absl::Status(events::Tx&, Post&)> body);

  // One of several writes that share a transaction.
  struct Locked {
    // OK: its references are held and its post is locked. An error: it is refused. nullopt: it has to be done alone.
    std::optional<absl::Status> outcome;
    std::optional<Post> post;  // as it is, if the outcome is OK and the posts are read

    bool IsHeld() const { return outcome.has_value() && outcome->ok(); }
  };
  enum class Posts { kLocked, kRead };

  // Runs `body` in a transaction for several writes, each of which may have another outcome. `body` is called with one
  // Locked for each of `targets` and does the writes that are held. It may reset the outcome of one that it has not
  // done, which then has to be done alone. Returns the outcomes. Versions are compared only if the posts are read.
  absl::StatusOr<idempotency::Outcomes> WriteTogether(
      const Call& call, const std::vector<Target>& targets, Posts posts,
      absl::FunctionRef<absl::Status(events::Tx&, std::vector<Locked>&)> body);

 private:
  struct Written {};
  struct Moved {};

  absl::StatusOr<db::Either<Written, Moved>> WriteOnce(const Call& call, const Target& target, const Post& seen,
                                                       absl::FunctionRef<absl::Status(events::Tx&, Post&)> body);
  absl::StatusOr<Post> Get(const Call& call, RowId id);
  absl::Status ReadAll(events::Tx& tx, const std::vector<Target>& targets, const std::vector<RowId>& ids,
                       std::vector<Locked>& locked);

  PostStore& store_;
  relation::Guard& users_;
};

}  // namespace crosskey::posts
