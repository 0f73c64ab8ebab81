#include "post-service/domain/likes.h"

#include "absl/time/clock.h"
#include "common/status/errors.h"

namespace crosskey::posts {

absl::Status Likes::Add(const Call& call, Like like, const idempotency::Record<Like>& record) {
  const ExistingPost::Target target{like.post_id, std::nullopt, like.user_id, kLikeUser,
                                    relation::Guard::Unknown::kAsk};
  const absl::Status status = existing_.Write(call, target, [&](events::Tx& tx, Post&) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const bool liked, LikeTx(tx).Has(like));
    like.create_time = absl::ToUnixMicros(absl::Now());
    if (!liked) CROSSKEY_RETURN_IF_ERROR(LikeTx(tx).Add(like));
    return record(tx.db(), like);
  });
  // For the like, the post is a foreign key as well as the user.
  return absl::IsNotFound(status) ? errors::ForeignKeyViolation({{kLikePost, kPostType, like.post_id}}) : status;
}

absl::StatusOr<idempotency::Outcomes> Likes::AddTogether(const Call& call,
                                                         const std::vector<idempotency::Share<Like>>& shares,
                                                         const idempotency::RecordAll<Like>& record) {
  std::vector<ExistingPost::Target> targets;
  for (const auto& share : shares) {
    targets.push_back({share.write->post_id, std::nullopt, share.write->user_id, kLikeUser,
                       relation::Guard::Unknown::kAsk, ExistingPost::Writer::kUser, share.call});
  }
  const auto add = [&](events::Tx& tx, std::vector<ExistingPost::Locked>& locked) -> absl::Status {
    std::vector<Like> wanted;
    std::vector<std::optional<Like>> results(shares.size());
    const int64_t now = absl::ToUnixMicros(absl::Now());
    for (size_t i = 0; i < shares.size(); ++i) {
      if (!locked[i].IsHeld()) continue;
      wanted.push_back({shares[i].write->post_id, shares[i].write->user_id, now});
      results[i] = wanted.back();
    }
    if (!wanted.empty()) CROSSKEY_RETURN_IF_ERROR(LikeTx(tx).AddMissing(wanted));
    return record(tx.db(), results);
  };
  return existing_.WriteTogether(call, targets, ExistingPost::Posts::kLocked, add);
}

absl::Status Likes::Remove(const Call& call, const Like& like, const idempotency::Record<Like>& record) {
  CROSSKEY_RETURN_IF_ERROR(call.MayWriteFor(like.user_id));
  // Without such a like there is nothing to do, and user-service need not be asked about its user. The user of a like
  // that exists has a reference row here (kMissing).
  CROSSKEY_ASSIGN_OR_RETURN(const bool is_there, likes_.Has(call, like));
  if (!is_there) return absl::OkStatus();
  const ExistingPost::Target target{like.post_id, std::nullopt, like.user_id, kLikeUser,
                                    relation::Guard::Unknown::kMissing};
  const absl::Status status = existing_.Write(call, target, [&](events::Tx& tx, Post&) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const bool liked, LikeTx(tx).Has(like));
    if (liked) CROSSKEY_RETURN_IF_ERROR(LikeTx(tx).Remove(like));
    return record(tx.db(), like);
  });
  // The post or the user has been deleted meanwhile, and the like with it.
  const bool gone = absl::IsNotFound(status) || errors::Is(status, errors::Reason::kForeignKeyViolation);
  return gone ? absl::OkStatus() : status;
}

absl::StatusOr<Page<Like>> Likes::OfPost(const Call& call, RowId post_id, int64_t after, int64_t limit) {
  CROSSKEY_ASSIGN_OR_RETURN(Page<Like> page, likes_.OfPost(call, post_id, after, limit));
  if (!page.rows.empty()) return page;
  CROSSKEY_ASSIGN_OR_RETURN(const auto posts, posts_.Get(call, {post_id}));
  if (posts.empty()) return errors::NotFound(kPostType, post_id);
  return page;
}

absl::StatusOr<Page<Post>> Likes::OfUser(const Call& call, RowId user_id, int64_t after, int64_t limit) {
  return posts_.ListLiked(call, user_id, after, limit);
}

}  // namespace crosskey::posts
