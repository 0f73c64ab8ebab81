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

bool AwaitQuiet(const TestDatabase& user_db, const TestDatabase& post_db) {
  const auto quiet = [&] {
    return Numbered(user_db) && Numbered(post_db) && Consumed(post_db) == Head(user_db) &&
           Consumed(user_db) == Head(post_db) && post_db.Number("SELECT COUNT(*) FROM user_refs WHERE state <> 1") == 0;
  };
  return WaitFor([&] {
    // Twice, for what happens between two of the looks moves a head.
    const int64_t events = Head(user_db) + Head(post_db);
    return quiet() && quiet() && Head(user_db) + Head(post_db) == events;
  });
}

int64_t Orphans(const TestDatabase& user_db, const TestDatabase& post_db) {
  std::string existing = "0";
  for (const auto& row : user_db.Query("SELECT id FROM users")) absl::StrAppend(&existing, ",", row.front());
  return post_db.Number("SELECT COUNT(*) FROM posts WHERE user_id NOT IN (" + existing + ")") +
         post_db.Number(
             "SELECT COUNT(*) FROM posts p LEFT JOIN user_refs r ON r.id = p.user_id WHERE r.id IS NULL OR r.state <> "
             "1");
}

}  // namespace crosskey::testing
