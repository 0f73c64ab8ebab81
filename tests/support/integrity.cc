#include "tests/support/integrity.h"

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

struct Feeds {
  int64_t unnumbered;  // own events that have no sequence number yet
  int64_t head;        // the last number of the own feed
  int64_t consumed;    // the checkpoint in the other service's feed
};

// One statement reads all three numbers, so that they belong together.
Feeds Look(const TestDatabase& database) {
  const auto rows = database.Query(
      "SELECT (SELECT COUNT(*) FROM outbox WHERE sequence IS NULL), (SELECT head FROM feed WHERE name = 'own'), "
      "(SELECT last_sequence FROM checkpoints WHERE feed IN ('user-service', 'post-service'))");
  const auto number = [&rows](size_t column) { return std::atoll(rows.front()[column].c_str()); };
  return {number(0), number(1), number(2)};
}

}  // namespace

bool AllConsumed(const TestDatabase& user_db, const TestDatabase& post_db) {
  const Feeds user = Look(user_db);
  const Feeds post = Look(post_db);
  return user.unnumbered == 0 && post.unnumbered == 0 && post.consumed == user.head && user.consumed == post.head;
}

bool AwaitQuiet(const TestDatabase& user_db, const TestDatabase& post_db) {
  const auto heads = [&] { return Look(user_db).head + Look(post_db).head; };
  const auto quiet = [&] {
    return AllConsumed(user_db, post_db) && post_db.Number("SELECT COUNT(*) FROM user_refs WHERE state <> 1") == 0 &&
           post_db.Number("SELECT COUNT(*) FROM posts WHERE state <> 1") == 0 &&
           user_db.Number("SELECT COUNT(*) FROM post_refs WHERE state <> 1") == 0;
  };
  return WaitFor([&] {
    // The databases are looked at one after the other, and something may happen in between, which moves a head. So they
    // are quiet only if two looks say so and the heads have not moved.
    const int64_t events = heads();
    return quiet() && quiet() && heads() == events;
  });
}

int64_t Orphans(const TestDatabase& user_db, const TestDatabase& post_db) {
  const auto ids = [](const TestDatabase& database, const std::string& table) {
    std::string list = "0";
    for (const auto& row : database.Query("SELECT id FROM " + table)) absl::StrAppend(&list, ",", row.front());
    return "(" + list + ")";
  };
  const std::string users = ids(user_db, "users");
  const std::string hidden = "LEFT JOIN user_refs r ON r.id = c.user_id WHERE r.id IS NULL OR r.state <> 1";
  return post_db.Number("SELECT COUNT(*) FROM posts WHERE user_id NOT IN " + users) +
         post_db.Number("SELECT COUNT(*) FROM likes WHERE user_id NOT IN " + users) +
         post_db.Number("SELECT COUNT(*) FROM posts c " + hidden) +
         post_db.Number("SELECT COUNT(*) FROM likes c " + hidden) +
         post_db.Number("SELECT COUNT(*) FROM posts WHERE state <> 1") +
         post_db.Number("SELECT COUNT(*) FROM likes WHERE post_id NOT IN (SELECT id FROM posts)") +
         post_db.Number(
             "SELECT COUNT(*) FROM posts WHERE like_count <> (SELECT COUNT(*) FROM likes WHERE likes.post_id = "
             "posts.id)") +
         user_db.Number("SELECT COUNT(*) FROM users WHERE pinned_post_id NOT IN " + ids(post_db, "posts"));
}

}  // namespace crosskey::testing
