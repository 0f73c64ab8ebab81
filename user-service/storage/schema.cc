#include "user-service/storage/schema.h"

#include "common/db/leases.h"
#include "common/events/pairing.h"
#include "common/events/schema.h"
#include "common/idempotency/answers.h"
#include "common/relation/schema/tables.h"
#include "user-service/domain/user.h"

namespace crosskey::users {
namespace {

// Copies the counts from the columns `posts`, `likes` and `pins_reclaimed`. Those columns stay, because processes of
// the release before may still run and use them.
constexpr char kCounts[] = R"(
REPLACE INTO deletion_rows (deletion_id, relationship, removed)
  SELECT deletion_id, 'post.v1.Post.user_id', posts FROM user_deletions WHERE state = 5;
REPLACE INTO deletion_rows (deletion_id, relationship, removed)
  SELECT deletion_id, 'post.v1.Like.user_id', likes FROM user_deletions WHERE state = 5;
REPLACE INTO reclaimed_rows (parent_id, relationship, removed)
  SELECT id, 'user.v1.User.pinned_post_id', pins_reclaimed FROM post_refs WHERE pins_reclaimed > 0;
)";

}  // namespace

db::Schema Schema() {
  db::Schema schema;
  schema.Add({db::Leases::Schema(), events::Pairing::Schema(), idempotency::Answers::Schema()});
  schema.Add(events::Schema({"post-service"}));
  schema.Add(relation::ParentSchema({kUserType}));
  schema.Add(relation::ChildSchema({kPostType}));
  schema.Add({Tables()});
  schema.adoption = {7,
                     "7ee07ee03def1b7e1caa6a8971807d95857343c9ce798e1718b1434adca2ee8e",
                     "4a6afa95eb83fb8926ea350c0803f49ffd054cad5abbb60dc4082a37950d9da1",
                     {"leases", "idempotency", "events", "events.post-service", "relation.user_deletions",
                      "relation.post_refs", "users"},
                     {1, "0001_counts", kCounts}};
  return schema;
}

}  // namespace crosskey::users
