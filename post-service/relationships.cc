#include "post-service/relationships.h"

#include "common/status/macros.h"
#include "post-service/domain/like.h"
#include "post-service/domain/post.h"
#include "post-service/events/post_events.h"
#include "post-service/storage/like_store.h"
#include "post-service/storage/likes_sql.h"
#include "post/v1/post.pb.h"
#include "user/v1/user.pb.h"

namespace crosskey::posts {
namespace {

absl::StatusOr<relation::Declarations> ReadDeclarations() {
  return relation::Declarations::Read({user::v1::User::descriptor()->file(), post::v1::Post::descriptor()->file()});
}

}  // namespace

absl::StatusOr<relation::ReferenceTable> ReferencesToUsers() {
  CROSSKEY_ASSIGN_OR_RETURN(const relation::Declarations declarations, ReadDeclarations());
  relation::ChildTable posts;
  CROSSKEY_ASSIGN_OR_RETURN(posts.declaration, declarations.Find(kPostUser));
  posts.table = "posts";
  posts.column = "user_id";
  posts.count_column = "posts_reclaimed";
  posts.is_parent = true;
  posts.removed_events = [](const std::string& user, const std::vector<relation::Removed>& removed) {
    return std::vector<events::Draft>{PostsDeleted(user, removed)};
  };

  relation::ChildTable likes;
  CROSSKEY_ASSIGN_OR_RETURN(likes.declaration, declarations.Find(kLikeUser));
  likes.table = "likes";
  likes.column = "user_id";
  likes.count_column = "likes_reclaimed";
  likes.has_uid = false;
  likes.visible_if = sql::kPostOfLikeIsVisible;
  likes.before_removal = Uncount;

  relation::ReferenceTable table;
  table.parent_type = posts.declaration.parent_type;
  table.table = "user_refs";
  table.feed = "user-service";
  // The likes first, those of own posts included: they count as the user's, and the fewer deleted users have likes left, the
  // less a count of likes costs.
  table.children = {std::move(likes), std::move(posts)};
  table.reclaimed_event = UserPostsReclaimed;
  return table;
}

absl::StatusOr<relation::LocalParent> ReferencesToPosts() {
  CROSSKEY_ASSIGN_OR_RETURN(const relation::Declarations declarations, ReadDeclarations());
  CROSSKEY_ASSIGN_OR_RETURN(const relation::Declaration like_post, declarations.Find(kLikePost));
  if (like_post.on_delete != relation::Action::kCascade) {
    return absl::InvalidArgumentError(like_post.relationship + " stays within one service: it must declare CASCADE");
  }
  for (const relation::Declaration& declaration : declarations.To(kPostType)) {
    if (declaration.on_delete == relation::Action::kRestrict) {
      return absl::InvalidArgumentError(declaration.relationship +
                                        " must not declare RESTRICT: a post is deleted without asking other services");
    }
  }
  return relation::LocalParent{"posts", {{like_post, "likes", "post_id"}}};
}

}  // namespace crosskey::posts
