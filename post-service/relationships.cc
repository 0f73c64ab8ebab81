#include "post-service/relationships.h"

#include "common/status/macros.h"
#include "post-service/domain/post.h"
#include "post-service/events/post_events.h"
#include "post/v1/post.pb.h"

namespace crosskey::posts {

absl::StatusOr<relation::ReferenceTable> ReferencesToUsers() {
  CROSSKEY_ASSIGN_OR_RETURN(const relation::Declarations declarations,
                            relation::Declarations::Read({post::v1::Post::descriptor()->file()}));
  CROSSKEY_ASSIGN_OR_RETURN(const relation::Declaration post_user, declarations.Find(kPostUser));
  relation::ReferenceTable table;
  table.parent_type = post_user.parent_type;
  table.table = "user_refs";
  table.feed = "user-service";
  table.children = {{post_user, "posts", "user_id", "posts_reclaimed", PostsDeleted}};
  table.reclaimed_event = UserPostsReclaimed;
  return table;
}

}  // namespace crosskey::posts
