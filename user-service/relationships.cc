#include "user-service/relationships.h"

#include "common/status/macros.h"
#include "post/v1/post.pb.h"
#include "user-service/domain/user.h"
#include "user-service/events/user_events.h"
#include "user/v1/user.pb.h"

namespace crosskey::users {

namespace {

absl::StatusOr<relation::Declarations> ReadDeclarations() {
  return relation::Declarations::Read({user::v1::User::descriptor()->file(), post::v1::Post::descriptor()->file()});
}

}  // namespace

absl::StatusOr<relation::ParentTable> UsersAsParents() {
  CROSSKEY_ASSIGN_OR_RETURN(const relation::Declarations declarations, ReadDeclarations());
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
  table.removed_columns = {{kPostUser, "posts"}, {kLikeUser, "likes"}};
  table.deleted_event = UserDeleted;
  return table;
}

absl::StatusOr<relation::ReferenceTable> ReferencesToPosts() {
  CROSSKEY_ASSIGN_OR_RETURN(const relation::Declarations declarations, ReadDeclarations());
  relation::ChildTable pins;
  CROSSKEY_ASSIGN_OR_RETURN(pins.declaration, declarations.Find(kUserPin));
  if (pins.declaration.on_delete != relation::Action::kSetNull) {
    return absl::InvalidArgumentError(pins.declaration.relationship +
                                      " must declare SET_NULL: a post does not decide over users");
  }
  pins.table = "users";
  pins.column = "pinned_post_id";
  pins.count_column = "pins_reclaimed";
  pins.removed_events = [](const std::string&, const std::vector<relation::Removed>& unpinned) {
    std::vector<events::Draft> drafts;
    for (const relation::Removed& user : unpinned) drafts.push_back(UserUpdated(user.id, user.uid, {"pinned_post_id"}));
    return drafts;
  };

  relation::ReferenceTable table;
  table.parent_type = pins.declaration.parent_type;
  table.table = "post_refs";
  table.feed = "post-service";
  table.children = {std::move(pins)};
  return table;
}

}  // namespace crosskey::users
