#include "post-service/relationships.h"

#include "common/status/macros.h"
#include "post-service/domain/like.h"
#include "post-service/domain/post.h"
#include "post-service/storage/like_store.h"
#include "post-service/storage/likes_sql.h"
#include "post/v1/post.pb.h"
#include "post/v1/post_events.pb.h"
#include "user/v1/user.pb.h"
#include "user/v1/user_events.pb.h"

namespace crosskey::posts {

absl::StatusOr<Relationships> Relationships::Read() {
  CROSSKEY_ASSIGN_OR_RETURN(const relation::Declarations declared,
                            relation::Declarations::Read(
                                {user::v1::User::descriptor()->file(), user::v1::UserDeleted::descriptor()->file(),
                                 post::v1::Post::descriptor()->file(), post::v1::PostsDeleted::descriptor()->file()}));
  auto users = relation::ReferenceTable::To(declared, kUserType, "user-service");
  // The reclaim of a user removes rows in the order of these calls. Likes come first, so that all likes of the user are
  // counted as such, also those of the user's own posts, which would otherwise be removed with the posts. And the
  // sooner the likes of a deleted user are gone, the fewer of them a like_count has to subtract.
  CROSSKEY_RETURN_IF_ERROR(users.Add(declared, kLikeUser, {"", sql::kPostOfLikeIsVisible, Uncount}));
  CROSSKEY_RETURN_IF_ERROR(users.Add(declared, kPostUser));
  CROSSKEY_ASSIGN_OR_RETURN(auto posts, relation::LocalParent::Of(declared, kPostType));
  return Relationships{declared, std::move(users), std::move(posts)};
}

}  // namespace crosskey::posts
