#include "post-service/domain/posts.h"

#include "absl/time/clock.h"
#include "common/events/uuid.h"
#include "common/fault/fault.h"
#include "common/status/errors.h"
#include "common/status/limits.h"
#include "post-service/events/post_events.h"

namespace crosskey::posts {
namespace {

// Applies the change and returns the names of the fields that are different now.
std::vector<std::string> Apply(const PostChange& change, Post& post) {
  std::vector<std::string> paths;
  const auto set = [&paths](const char* path, const auto& wanted, auto& field) {
    if (!wanted.has_value() || *wanted == field) return;
    field = *wanted;
    paths.emplace_back(path);
  };
  set("title", change.title, post.title);
  set("user_id", change.user_id, post.user_id);
  set("content", change.content, post.content);
  return paths;
}

}  // namespace

absl::StatusOr<std::vector<Post>> Posts::Create(const Call& call, const std::vector<NewPost>& posts) {
  std::vector<int64_t> users;
  for (const NewPost& post : posts) users.push_back(post.user_id);
  std::vector<Post> created;
  CROSSKEY_RETURN_IF_ERROR(users_.Write(call, kPostUser, users, [&](events::Tx& tx) -> absl::Status {
    PostTx post_tx(tx);
    created.clear();
    const int64_t now = absl::ToUnixMicros(absl::Now());
    for (const NewPost& post : posts) {
      created.push_back({0, NewUuid(), post.user_id, post.title, post.content, 1, now, now});
    }
    CROSSKEY_RETURN_IF_ERROR(post_tx.Insert(created));
    for (const Post& post : created) post_tx.Append(PostCreated(post.id, post.uid, post.user_id));
    return absl::OkStatus();
  }));
  return created;
}

absl::StatusOr<Post> Posts::Get(const Call& call, int64_t id) {
  CROSSKEY_ASSIGN_OR_RETURN(auto posts, store_.Get(call, {id}));
  if (posts.empty()) return errors::NotFound(kPostType, id);
  return std::move(posts.front());
}

absl::StatusOr<std::vector<Post>> Posts::BatchGet(const Call& call, const std::vector<int64_t>& ids) {
  return store_.Get(call, ids);
}

absl::StatusOr<Page> Posts::List(const Call& call, const PageQuery& query) { return store_.List(call, query); }

absl::Status Posts::WriteExisting(const Call& call, int64_t id, std::optional<int64_t> version,
                                  std::optional<int64_t> new_user,
                                  const std::function<absl::Status(PostTx&, Post&)>& body) {
  for (int round = 0; round < limits::kConsistencyRounds; ++round) {
    // Which references to lock stands in the post, and the post may be locked only after them: so it is read first, and
    // compared again under the locks.
    CROSSKEY_ASSIGN_OR_RETURN(const Post seen, Get(call, id));
    std::vector<int64_t> users = {seen.user_id};
    if (new_user.has_value() && fault::Without(fault::Guard::kOldReference)) users.clear();
    if (new_user.has_value()) users.push_back(*new_user);
    bool moved = false;
    const absl::Status status = users_.Write(call, kPostUser, users, [&](events::Tx& tx) -> absl::Status {
      PostTx post_tx(tx);
      CROSSKEY_ASSIGN_OR_RETURN(std::optional<Post> post, post_tx.Lock(id));
      if (!post.has_value()) return errors::NotFound(kPostType, id);
      moved = post->user_id != seen.user_id;
      if (moved) return errors::Conflict();
      if (version.has_value() && *version != post->version) return errors::EtagMismatch(kPostType, id);
      return body(post_tx, *post);
    });
    if (moved) continue;
    if (errors::ReasonOf(status) == "FOREIGN_KEY_VIOLATION") {
      // If it is the post's own user that is gone, so is the post, unless it has moved away in time.
      CROSSKEY_ASSIGN_OR_RETURN(const Post now, Get(call, id));
      if (now.user_id != seen.user_id) continue;
    }
    return status;
  }
  return errors::Conflict();
}

absl::StatusOr<Post> Posts::Update(const Call& call, const PostChange& change) {
  Post result;
  CROSSKEY_RETURN_IF_ERROR(
      WriteExisting(call, change.id, change.version, change.user_id, [&](PostTx& tx, Post& post) -> absl::Status {
        const std::vector<std::string> paths = Apply(change, post);
        if (!paths.empty()) {
          ++post.version;
          post.update_time = absl::ToUnixMicros(absl::Now());
          CROSSKEY_RETURN_IF_ERROR(tx.Update(post));
          tx.Append(PostUpdated(post.id, post.uid, paths));
        }
        result = post;
        return absl::OkStatus();
      }));
  return result;
}

absl::Status Posts::Delete(const Call& call, int64_t id, std::optional<int64_t> version) {
  return WriteExisting(call, id, version, std::nullopt, [&](PostTx& tx, Post& post) -> absl::Status {
    CROSSKEY_RETURN_IF_ERROR(tx.Remove(id));
    tx.Append(PostsDeleted(errors::ResourceName(kPostType, id), {{post.id, post.uid}}));
    return absl::OkStatus();
  });
}

}  // namespace crosskey::posts
