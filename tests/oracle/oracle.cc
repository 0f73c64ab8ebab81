#include "tests/oracle/oracle.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace crosskey::testing {
namespace {

// SQLite looks at the foreign keys of a table from the last to the first. So restricting_user_id comes last: its
// RESTRICT is asked before the CASCADE of user_id removes the rows that restrict.
constexpr char kSchema[] = R"(
PRAGMA foreign_keys = ON;
CREATE TABLE users (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  username TEXT NOT NULL UNIQUE,
  pinned_post_id INTEGER UNIQUE REFERENCES posts (id) ON DELETE SET NULL
);
CREATE TABLE posts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  title TEXT NOT NULL,
  content TEXT NOT NULL,
  restricting_user_id INTEGER REFERENCES users (id) ON DELETE RESTRICT
);
CREATE TABLE likes (
  post_id INTEGER NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
  user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  PRIMARY KEY (post_id, user_id)
);
)";
constexpr char kUserMissing[] = "NOT_FOUND USER_NOT_FOUND";
constexpr char kPostMissing[] = "NOT_FOUND POST_NOT_FOUND";

[[noreturn]] void Die(const std::string& what, const std::string& sql) {
  std::fprintf(stderr, "oracle: %s: %s\n", what.c_str(), sql.c_str());
  std::abort();
}

Oracle::Answer Only(const std::string& violation) { return {{violation.empty() ? "OK" : violation}}; }

}  // namespace

Oracle::Oracle() {
  if (sqlite3_open(":memory:", &database_) != SQLITE_OK) Die("cannot open", ":memory:");
  sqlite3_extended_result_codes(database_, 1);
  Run(kSchema);
}

Oracle::~Oracle() { sqlite3_close(database_); }

std::string Oracle::Try(const std::string& sql) {
  switch (sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr)) {
    case SQLITE_OK:
      return "";
    case SQLITE_CONSTRAINT_FOREIGNKEY:
      return "FAILED_PRECONDITION FOREIGN_KEY_VIOLATION";
    case SQLITE_CONSTRAINT_TRIGGER:  // what SQLite makes of ON DELETE RESTRICT
      return "FAILED_PRECONDITION RESTRICTED";
    case SQLITE_CONSTRAINT_UNIQUE:
      return absl::StrContains(sqlite3_errmsg(database_), "username") ? "ALREADY_EXISTS USERNAME_TAKEN"
                                                                      : "ALREADY_EXISTS ALREADY_PINNED";
    default:
      Die(sqlite3_errmsg(database_), sql);
  }
}

void Oracle::Run(const std::string& sql) {
  const std::string violation = Try(sql);
  if (!violation.empty()) Die(violation, sql);
}

void Oracle::AddViolation(const std::string& sql, std::set<std::string>& to) {
  Run("BEGIN");
  const std::string violation = Try(sql);
  Run("ROLLBACK");
  if (!violation.empty()) to.insert(violation);
}

Oracle::Answer Oracle::Change(const std::string& sql, const char* if_missing) {
  const std::string violation = Try(sql);
  if (!violation.empty()) return Only(violation);
  return Only(sqlite3_changes(database_) == 0 ? if_missing : "");
}

Oracle::Answer Oracle::Apply(const Operation& operation) {
  switch (operation.kind) {
    case Kind::kCreateUser:
      return Only(Try(absl::StrCat("INSERT INTO users (username) VALUES (", Quoted(*operation.name), ")")));
    case Kind::kUpdateUser:
      return UpdateUser(operation);
    case Kind::kDeleteUser:
      return DeleteUser(operation);
    case Kind::kCreatePosts:
      return CreatePosts(operation);
    case Kind::kUpdatePost: {
      std::vector<std::string> changes;
      if (operation.author.has_value()) changes.push_back(absl::StrCat("user_id = ", *operation.author));
      if (operation.name.has_value()) changes.push_back("title = " + Quoted(*operation.name));
      if (operation.content.has_value()) changes.push_back("content = " + Quoted(*operation.content));
      return Change(absl::StrCat("UPDATE posts SET ", absl::StrJoin(changes, ", "), " WHERE id = ", operation.post),
                    kPostMissing);
    }
    case Kind::kDeletePost:
      return Change(absl::StrCat("DELETE FROM posts WHERE id = ", operation.post),
                    operation.allow_missing ? "" : kPostMissing);
    case Kind::kLike:
      return Only(Try(absl::StrCat("INSERT INTO likes (post_id, user_id) VALUES (", operation.post, ", ",
                                   operation.user, ") ON CONFLICT DO NOTHING")));
    case Kind::kUnlike:
      return Only(
          Try(absl::StrCat("DELETE FROM likes WHERE post_id = ", operation.post, " AND user_id = ", operation.user)));
  }
  return {};
}

Oracle::Answer Oracle::UpdateUser(const Operation& operation) {
  const auto update = [&](const std::vector<std::string>& changes) {
    return absl::StrCat("UPDATE users SET ", absl::StrJoin(changes, ", "), " WHERE id = ", operation.user);
  };
  std::vector<std::string> changes;
  if (operation.name.has_value()) changes.push_back("username = " + Quoted(*operation.name));
  if (operation.sets_pin) {
    const std::string pin = operation.pin.has_value() ? absl::StrCat(*operation.pin) : "NULL";
    changes.push_back("pinned_post_id = " + pin);
  }
  Answer answer = Change(update(changes), kUserMissing);
  if (!answer.ok() && changes.size() > 1) {
    for (const std::string& change : changes) AddViolation(update({change}), answer.statuses);
  }
  return answer;
}

Oracle::Answer Oracle::DeleteUser(const Operation& operation) {
  Run("BEGIN");
  if (operation.action == ::relation::v1::REFERENTIAL_ACTION_RESTRICT) {
    Run(absl::StrCat("UPDATE posts SET restricting_user_id = user_id WHERE user_id = ", operation.user));
  }
  Answer answer = Change(absl::StrCat("DELETE FROM users WHERE id = ", operation.user),
                         operation.allow_missing ? "" : kUserMissing);
  Run(answer.ok() && !operation.validate_only ? "COMMIT" : "ROLLBACK");
  return answer;
}

Oracle::Answer Oracle::CreatePosts(const Operation& operation) {
  std::vector<std::string> rows;
  for (const int64_t author : operation.authors) {
    rows.push_back(absl::StrCat("(", author, ", ", Quoted(*operation.name), ", ", Quoted(*operation.content), ")"));
  }
  return Only(Try("INSERT INTO posts (user_id, title, content) VALUES " + absl::StrJoin(rows, ", ")));
}

std::vector<std::string> Oracle::Texts(const std::string& sql) {
  std::vector<std::string> texts;
  const auto add = [](void* out, int, char** values, char**) {
    static_cast<std::vector<std::string>*>(out)->emplace_back(values[0]);
    return 0;
  };
  if (sqlite3_exec(database_, sql.c_str(), add, &texts, nullptr) != SQLITE_OK) Die(sqlite3_errmsg(database_), sql);
  return texts;
}

std::vector<int64_t> Oracle::Numbers(const std::string& sql) {
  std::vector<int64_t> numbers;
  for (const std::string& text : Texts(sql)) numbers.push_back(std::atoll(text.c_str()));
  return numbers;
}

bool Oracle::HasUser(int64_t id) { return Number(absl::StrCat("SELECT COUNT(*) FROM users WHERE id = ", id)) == 1; }
bool Oracle::HasPost(int64_t id) { return Number(absl::StrCat("SELECT COUNT(*) FROM posts WHERE id = ", id)) == 1; }

Population Oracle::Look() {
  const auto deleted = [this](const std::string& table, const std::vector<int64_t>& live) {
    const std::set<int64_t> there(live.begin(), live.end());
    std::vector<int64_t> ids;
    for (int64_t id : Numbers("SELECT seq FROM sqlite_sequence WHERE name = " + Quoted(table))) {
      for (int64_t lower = std::max<int64_t>(1, id - 30); lower <= id; ++lower) {
        if (there.count(lower) == 0) ids.push_back(lower);
      }
    }
    return ids;
  };
  Population all;
  all.users = Numbers("SELECT id FROM users ORDER BY id");
  all.posts = Numbers("SELECT id FROM posts ORDER BY id");
  all.deleted_users = deleted("users", all.users);
  all.deleted_posts = deleted("posts", all.posts);
  all.pinned = Numbers("SELECT pinned_post_id FROM users WHERE pinned_post_id IS NOT NULL ORDER BY id");
  const auto liked = Numbers("SELECT post_id FROM likes ORDER BY post_id, user_id");
  const auto liking = Numbers("SELECT user_id FROM likes ORDER BY post_id, user_id");
  for (size_t i = 0; i < liked.size(); ++i) all.likes.emplace_back(liked[i], liking[i]);
  return all;
}

std::string Quoted(const std::string& text) { return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "''"}}), "'"); }

}  // namespace crosskey::testing
