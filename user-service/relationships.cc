#include "user-service/relationships.h"

#include "common/status/macros.h"
#include "post/v1/post.pb.h"
#include "post/v1/post_events.pb.h"
#include "user-service/domain/user.h"
#include "user/v1/user.pb.h"
#include "user/v1/user_events.pb.h"

namespace crosskey::users {

absl::StatusOr<Relationships> Relationships::Read() {
  CROSSKEY_ASSIGN_OR_RETURN(const relation::Declarations declared,
                            relation::Declarations::Read(
                                {user::v1::User::descriptor()->file(), user::v1::UserDeleted::descriptor()->file(),
                                 post::v1::Post::descriptor()->file(), post::v1::PostsDeleted::descriptor()->file()}));
  CROSSKEY_ASSIGN_OR_RETURN(relation::ParentTable users,
                            relation::ParentTable::Of(declared, kUserType, kPostUser, {"post-service"}));
  auto posts = relation::ReferenceTable::To(declared, kPostType, "post-service");
  CROSSKEY_RETURN_IF_ERROR(posts.Add(declared, kUserPin));
  return Relationships{declared, std::move(users), std::move(posts)};
}

}  // namespace crosskey::users
