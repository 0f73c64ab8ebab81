#include "tests/support/integrity.h"

#include "absl/strings/str_cat.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

int64_t Head(const TestDatabase& database) { return database.Number("SELECT head FROM feed"); }
int64_t Consumed(const TestDatabase& database) { return database.Number("SELECT last_sequence FROM checkpoints"); }
bool Numbered(const TestDatabase& database) {
  return database.Number("SELECT COUNT(*) FROM outbox WHERE sequence IS NULL") == 0;
}

}  // namespace

bool AllConsumed(const TestDatabase& user_db, const TestDatabase& post_db) {
  return Numbered(user_db) && Numbered(post_db) && Consumed(post_db) == Head(user_db) &&
         Consumed(user_db) == Head(post_db);
}

bool AwaitQuiet(const TestDatabase& user_db, const TestDatabase& post_db) {
  const auto quiet = [&] {
    return AllConsumed(user_db, post_db) && post_db.Number("SELECT COUNT(*) FROM user_refs WHERE state <> 1") == 0 &&
           post_db.Number("SELECT COUNT(*) FROM posts WHERE state <> 1") == 0 &&
           user_db.Number("SELECT COUNT(*) FROM post_refs WHERE state <> 1") == 0;
  };
  return WaitFor([&] {
    // Twice, for what happens between two of the looks moves a head.
    const int64_t events = Head(user_db) + Head(post_db);
    return quiet() && quiet() && Head(user_db) + Head(post_db) == events;
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
