#include "post-service/storage/schema.h"

#include "common/db/leases.h"
#include "common/events/pairing.h"
#include "common/events/schema.h"
#include "common/idempotency/answers.h"
#include "common/relation/schema/tables.h"
#include "post-service/domain/post.h"

namespace crosskey::posts {
namespace {

// Copies the counts from the columns `posts_reclaimed` and `likes_reclaimed`. Those columns stay, because processes of
// the release before may still run and use them.
constexpr char kCounts[] = R"(
REPLACE INTO reclaimed_rows (parent_id, relationship, removed)
  SELECT id, 'post.v1.Post.user_id', posts_reclaimed FROM user_refs WHERE posts_reclaimed > 0;
REPLACE INTO reclaimed_rows (parent_id, relationship, removed)
  SELECT id, 'post.v1.Like.user_id', likes_reclaimed FROM user_refs WHERE likes_reclaimed > 0;
)";

}  // namespace

db::Schema Schema() {
  db::Schema schema;
  schema.Add({db::Leases::Schema(), events::Pairing::Schema(), idempotency::Answers::Schema()});
  schema.Add(events::Schema({"user-service"}));
  schema.Add(relation::ChildSchema({kUserType}));
  schema.Add({Tables()});
  schema.adoption = {6,
                     "e658f94fab27022418379644a48076b8516d33ed3b41533f7c9b381c7426426a",
                     "07c757ee75a1886768cb6c2f4c957b3114f7b4f3846dd57ffab25565878b0434",
                     {"leases", "idempotency", "events", "events.user-service", "relation.user_refs", "posts"},
                     {1, "0001_counts", kCounts}};
  return schema;
}

}  // namespace crosskey::posts
