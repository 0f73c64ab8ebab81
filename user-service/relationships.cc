#include "user-service/relationships.h"

#include "common/status/macros.h"
#include "post/v1/post.pb.h"
#include "user-service/domain/user.h"
#include "user-service/events/user_events.h"
#include "user/v1/user.pb.h"

namespace crosskey::users {

absl::StatusOr<relation::ParentTable> UsersAsParents() {
  CROSSKEY_ASSIGN_OR_RETURN(
      const relation::Declarations declarations,
      relation::Declarations::Read({user::v1::User::descriptor()->file(), post::v1::Post::descriptor()->file()}));
  CROSSKEY_ASSIGN_OR_RETURN(const relation::Declaration post_user, declarations.Find(kPostUser));
  if (post_user.parent_type != kUserType) {
    return absl::InvalidArgumentError(post_user.relationship + " does not refer to " + kUserType);
  }
  relation::ParentTable table;
  table.type = kUserType;
  table.table = "users";
  table.deletions_table = "user_deletions";
  table.id_column = "user_id";
  table.peer = "post-service";
  table.references = {post_user};  // first, because DeleteUser may override it
  for (const relation::Declaration& declaration : declarations.To(kUserType)) {
    if (declaration.relationship != kPostUser) table.references.push_back(declaration);
  }
  table.removed_columns = {{kPostUser, "posts"}};
  table.deleted_event = UserDeleted;
  return table;
}

}  // namespace crosskey::users
