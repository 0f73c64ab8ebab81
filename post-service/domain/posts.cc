#include "post-service/domain/posts.h"

#include <set>

#include "absl/time/clock.h"
#include "common/events/uuid.h"
#include "common/status/errors.h"
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

Post Made(const NewPost& post, int64_t now) {
  return {RowId{}, NewUuid(), post.user_id, post.title, post.content, 0, 1, now, now};
}

}  // namespace

absl::Status Posts::Create(const Call& call, const std::vector<NewPost>& posts,
                           const idempotency::Record<std::vector<Post>>& record) {
  std::vector<RowId> users;
  for (const NewPost& post : posts) {
    CROSSKEY_RETURN_IF_ERROR(call.MayWriteFor(post.user_id));
    users.push_back(post.user_id);
  }
  return users_.Write(call, kPostUser, users, [&](events::Tx& tx) -> absl::Status {
    std::vector<Post> created;
    const int64_t now = absl::ToUnixMicros(absl::Now());
    for (const NewPost& post : posts) created.push_back(Made(post, now));
    CROSSKEY_RETURN_IF_ERROR(store_.In(tx).Insert(created));
    for (const Post& post : created) tx.Append(PostCreated(post.id, post.uid, post.user_id));
    return record(tx.db(), created);
  });
}

absl::StatusOr<idempotency::Outcomes> Posts::CreateTogether(const Call& call,
                                                            const std::vector<idempotency::Share<NewPost>>& shares,
                                                            const idempotency::RecordAll<Post>& record) {
  std::vector<RowId> users;
  for (const auto& share : shares) users.push_back(share.write->user_id);
  const auto create = [&](events::Tx& tx, const relation::Held& held) -> absl::StatusOr<idempotency::Joint> {
    idempotency::Outcomes outcomes(shares.size());
    std::vector<Post> created;
    std::vector<size_t> positions;
    const int64_t now = absl::ToUnixMicros(absl::Now());
    for (size_t i = 0; i < shares.size(); ++i) {
      // A call that is too late by now has no effect. The others do not wait for anything any more.
      absl::Status refused = shares[i].call->Check();
      refused.Update(shares[i].call->MayWriteFor(users[i]));
      outcomes[i] = refused.ok() ? held.Check(kPostUser, {users[i]}) : refused;
      if (!outcomes[i].has_value() || !outcomes[i]->ok()) continue;
      created.push_back(Made(*shares[i].write, now));
      positions.push_back(i);
    }
    std::vector<std::optional<Post>> results(shares.size());
    if (!created.empty()) CROSSKEY_RETURN_IF_ERROR(store_.In(tx).Insert(created));
    for (size_t i = 0; i < created.size(); ++i) {
      tx.set_traceparent(shares[positions[i]].call->traceparent);
      tx.Append(PostCreated(created[i].id, created[i].uid, created[i].user_id));
      results[positions[i]] = std::move(created[i]);
    }
    CROSSKEY_RETURN_IF_ERROR(record(tx.db(), results));
    return idempotency::CommitIfAny(std::move(outcomes));
  };
  return idempotency::OutcomesOf(users_.WriteTogether(call, users, create));
}

absl::StatusOr<Post> Posts::Get(const Call& call, RowId id) {
  CROSSKEY_ASSIGN_OR_RETURN(auto posts, store_.Get(call, {id}));
  if (posts.empty()) return errors::NotFound(kPostType, id);
  return std::move(posts.front());
}

absl::StatusOr<std::vector<Post>> Posts::BatchGet(const Call& call, const std::vector<RowId>& ids) {
  return store_.Get(call, ids);
}

absl::StatusOr<Page<Post>> Posts::List(const Call& call, const PostQuery& query) { return store_.List(call, query); }

absl::Status Posts::Update(const Call& call, const PostChange& change, const idempotency::Record<Post>& record) {
  ExistingPost::Target target{change.id, change.version, change.user_id, kPostUser};
  target.writer = ExistingPost::Writer::kAuthor;
  return existing_.Write(call, target, [&](events::Tx& tx, Post& post) -> absl::Status {
    const std::vector<std::string> paths = Apply(change, post);
    if (!paths.empty()) {
      ++post.version;
      post.update_time = absl::ToUnixMicros(absl::Now());
      CROSSKEY_RETURN_IF_ERROR(store_.In(tx).Update(post));
      tx.Append(PostUpdated(post.id, post.uid, paths));
    }
    return record(tx.db(), post);
  });
}

absl::StatusOr<idempotency::Outcomes> Posts::UpdateTogether(const Call& call,
                                                            const std::vector<idempotency::Share<PostChange>>& shares,
                                                            const idempotency::RecordAll<Post>& record) {
  std::vector<ExistingPost::Target> targets;
  for (const auto& share : shares) {
    targets.push_back({share.write->id, share.write->version, share.write->user_id, kPostUser,
                       relation::Guard::Unknown::kAsk, ExistingPost::Writer::kAuthor, share.call});
  }
  const auto update = [&](events::Tx& tx, std::vector<ExistingPost::Locked>& locked) -> absl::Status {
    std::vector<std::optional<Post>> results(shares.size());
    std::set<RowId> seen;
    for (size_t i = 0; i < shares.size(); ++i) {
      if (!locked[i].IsHeld()) continue;
      // A second change of a post would have to begin with what the first one leaves.
      if (!seen.insert(shares[i].write->id).second) {
        locked[i].outcome.reset();
        continue;
      }
      Post& post = *locked[i].post;
      const std::vector<std::string> paths = Apply(*shares[i].write, post);
      if (!paths.empty()) {
        ++post.version;
        post.update_time = absl::ToUnixMicros(absl::Now());
        CROSSKEY_RETURN_IF_ERROR(store_.In(tx).Update(post));
        tx.set_traceparent(shares[i].call->traceparent);
        tx.Append(PostUpdated(post.id, post.uid, paths));
      }
      results[i] = std::move(post);
    }
    return record(tx.db(), results);
  };
  return existing_.WriteTogether(call, targets, ExistingPost::Posts::kRead, update);
}

absl::Status Posts::Delete(const Call& call, RowId id, std::optional<int64_t> version,
                           const idempotency::Record<Post>& record) {
  const ExistingPost::Target target{
      id, version, std::nullopt, kPostUser, relation::Guard::Unknown::kMissing, ExistingPost::Writer::kAuthor};
  CROSSKEY_RETURN_IF_ERROR(existing_.Write(call, target, [&](events::Tx& tx, Post& post) -> absl::Status {
    CROSSKEY_RETURN_IF_ERROR(hidden_.Hide(tx, {post.id, post.uid}));
    return record(tx.db(), post);
  }));
  on_deleted_();
  return absl::OkStatus();
}

}  // namespace crosskey::posts
