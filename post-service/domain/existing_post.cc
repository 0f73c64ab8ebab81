#include "post-service/domain/existing_post.h"

#include <map>

#include "common/status/errors.h"

namespace crosskey::posts {

absl::StatusOr<Post> ExistingPost::Get(const Call& call, RowId id) {
  CROSSKEY_ASSIGN_OR_RETURN(auto posts, store_.Get(call, {id}));
  if (posts.empty()) return errors::NotFound(kPostType, id);
  return std::move(posts.front());
}

absl::Status ExistingPost::Target::MayWrite(const Call& by, std::optional<RowId> author) const {
  if (user.has_value()) CROSSKEY_RETURN_IF_ERROR(by.MayWriteFor(*user));
  if (writer == Writer::kUser) return absl::OkStatus();
  // A post that does not exist has nobody's name, so a bound caller does not hear that it does not exist.
  return by.MayWriteFor(author.value_or(RowId{}));
}

// `seen` is the post as it was when it was read without a lock.
absl::StatusOr<db::Either<ExistingPost::Written, ExistingPost::Moved>> ExistingPost::WriteOnce(
    const Call& call, const Target& target, const Post& seen,
    absl::FunctionRef<absl::Status(events::Tx&, Post&)> body) {
  using Outcome = db::Either<Written, Moved>;
  std::vector<RowId> users = {seen.user_id};
  if (target.user.has_value()) users.push_back(*target.user);
  const auto write = [&](events::Tx& tx) -> absl::StatusOr<Outcome> {
    CROSSKEY_ASSIGN_OR_RETURN(std::optional<Post> post, store_.In(tx).Lock(target.id));
    CROSSKEY_RETURN_IF_ERROR(target.MayWrite(call, post.has_value() ? std::optional(post->user_id) : std::nullopt));
    if (!post.has_value()) return errors::NotFound(kPostType, target.id);
    if (post->user_id != seen.user_id) return Outcome(db::RollBack<Moved>{});
    if (target.version.has_value() && *target.version != post->version) {
      return errors::EtagMismatch(kPostType, target.id);
    }
    CROSSKEY_RETURN_IF_ERROR(body(tx, *post));
    return Outcome(Written{});
  };
  return users_.Write(call, target.relationship, users, write, target.if_unknown);
}

// Reads the posts of the writes that are held.
absl::Status ExistingPost::ReadAll(events::Tx& tx, const std::vector<Target>& targets, const std::vector<RowId>& ids,
                                   std::vector<Locked>& locked) {
  using Read = std::map<RowId, Post>;
  CROSSKEY_ASSIGN_OR_RETURN(const Read posts, store_.In(tx).Read(ids));
  for (size_t i = 0; i < targets.size(); ++i) {
    if (!locked[i].IsHeld()) continue;
    const auto post = posts.find(targets[i].id);
    if (post == posts.end()) {
      locked[i].outcome.reset();
      continue;
    }
    locked[i].post = post->second;
    if (targets[i].version.has_value() && *targets[i].version != post->second.version) {
      locked[i].outcome = errors::EtagMismatch(kPostType, targets[i].id);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<idempotency::Outcomes> ExistingPost::WriteTogether(
    const Call& call, const std::vector<Target>& targets, Posts posts,
    absl::FunctionRef<absl::Status(events::Tx&, std::vector<Locked>&)> body) {
  // Read without a lock first, for the reason that Write says.
  std::vector<RowId> ids;
  for (const Target& target : targets) ids.push_back(target.id);
  using Authors = std::map<RowId, RowId>;
  CROSSKEY_ASSIGN_OR_RETURN(const Authors authors, store_.Authors(call, ids));
  std::vector<std::vector<RowId>> users(targets.size());
  std::vector<RowId> all;
  for (size_t i = 0; i < targets.size(); ++i) {
    const auto author = authors.find(targets[i].id);
    if (author == authors.end()) continue;
    users[i].push_back(author->second);
    if (targets[i].user.has_value()) users[i].push_back(*targets[i].user);
    all.insert(all.end(), users[i].begin(), users[i].end());
  }
  if (all.empty()) return idempotency::Outcomes(targets.size());
  return idempotency::OutcomesOf(users_.WriteTogether(
      call, all, [&](events::Tx& tx, const relation::Held& held) -> absl::StatusOr<idempotency::Joint> {
        using Users = std::map<RowId, RowId>;
        CROSSKEY_ASSIGN_OR_RETURN(const Users now, store_.In(tx).LockFree(ids));
        std::vector<Locked> locked(targets.size());
        std::vector<RowId> read;
        for (size_t i = 0; i < targets.size(); ++i) {
          const absl::Status late = targets[i].call->Check();
          if (!late.ok()) {
            locked[i].outcome = late;
            continue;
          }
          // What is not usual is done alone, where the error that is to be told is found out.
          const auto author = now.find(targets[i].id);
          if (author == now.end() || !targets[i].MayWrite(*targets[i].call, author->second).ok()) continue;
          if (users[i].empty() || author == now.end() || author->second != users[i].front()) continue;
          const auto references = held.Check(targets[i].relationship, users[i]);
          if (!references.has_value() || !references->ok()) continue;
          locked[i].outcome = absl::OkStatus();
          read.push_back(targets[i].id);
        }
        if (posts == Posts::kRead) CROSSKEY_RETURN_IF_ERROR(ReadAll(tx, targets, read, locked));
        CROSSKEY_RETURN_IF_ERROR(body(tx, locked));
        idempotency::Outcomes outcomes;
        for (Locked& each : locked) outcomes.push_back(std::move(each.outcome));
        return idempotency::CommitIfAny(std::move(outcomes));
      }));
}

absl::Status ExistingPost::Write(const Call& call, const Target& target,
                                 absl::FunctionRef<absl::Status(events::Tx&, Post&)> body) {
  for (int round = 0; round < limits::kConsistencyRounds; ++round) {
    // The post says which references to lock, but it may be locked only after them. So it is read without a lock first,
    // and its author is compared again under the locks.
    const absl::StatusOr<Post> found = Get(call, target.id);
    if (absl::IsNotFound(found.status())) CROSSKEY_RETURN_IF_ERROR(target.MayWrite(call, std::nullopt));
    CROSSKEY_ASSIGN_OR_RETURN(const Post seen, found);
    // Before a lookup at the other service, which could tell the caller of `target.user`.
    CROSSKEY_RETURN_IF_ERROR(target.MayWrite(call, seen.user_id));
    const auto outcome = WriteOnce(call, target, seen, body);
    if (outcome.ok() && std::holds_alternative<db::RollBack<Moved>>(*outcome)) continue;
    if (errors::Is(outcome.status(), errors::Reason::kForeignKeyViolation)) {
      // If the author is the user that is missing, the post is gone with it, unless it has moved to another user
      // before.
      CROSSKEY_ASSIGN_OR_RETURN(const Post now, Get(call, target.id));
      if (now.user_id != seen.user_id) continue;
    }
    return outcome.status();
  }
  return errors::Conflict();
}

}  // namespace crosskey::posts
