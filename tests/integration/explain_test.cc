// Tests that every named statement finds its rows by an index, on tables of some size. The plan is the one that the
// database itself shows.
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/events/uuid.h"
#include "common/relation/child/reference_sql.h"
#include "common/relation/visibility.h"
#include "post-service/relationships.h"
#include "post-service/storage/likes_sql.h"
#include "post-service/storage/posts_sql.h"
#include "tests/integration/api_client.h"
#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"
#include "user-service/relationships.h"
#include "user-service/storage/users_sql.h"

namespace crosskey::testing {
namespace {

class ExplainTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(ExplainTest);

// The names of the statements in a *_sql.h file.
std::set<std::string> StatementsOf(const std::string& file) {
  std::ifstream in(std::filesystem::path(CROSSKEY_SOURCE_DIR) / file);
  std::stringstream text;
  text << in.rdbuf();
  const std::string source = text.str();
  std::set<std::string> names;
  for (size_t at = 0; (at = source.find("db::Sql k", at)) != std::string::npos;) {
    const size_t begin = source.find('"', at) + 1;
    at = source.find('"', begin);
    names.insert(source.substr(begin, at - begin));
  }
  return names;
}

std::set<std::string> StatementsOfTheMechanism() {
  std::set<std::string> names;
  const auto of_posts = posts::Relationships::Read();
  const auto of_users = users::Relationships::Read();
  const relation::ReferenceTable* const users = &of_posts->users;
  for (const relation::ReferenceTable* table : {users, &of_users->posts}) {
    const relation::ReferenceSql sql(*table);
    for (const db::Sql* each :
         {&sql.lock_shared, &sql.lock, &sql.lock_all, &sql.add, &sql.release, &sql.reclaimable, &sql.remove}) {
      names.insert(each->name);
    }
    for (size_t i = 0; i < sql.children.size(); ++i) {
      const relation::ChildSql& child = sql.children[i];
      for (const db::Sql* each : {&child.batch, &child.remove}) names.insert(each->name);
      if (table->children[i].is_parent) names.insert({child.left.name, child.hide.name});
      // Children of posts are never counted, because nobody asks to release a post.
      if (table == users) names.insert(child.count.name);
    }
    if (table == users) names.insert({sql.insert.name, sql.refuse.name, sql.hold.name});
  }
  const relation::LocalParentSql local(of_posts->posts);
  names.insert({local.hide.name, local.any.name, local.hidden.name, local.remove.name});
  for (const auto& child : local.children) names.insert({child.batch.name, child.remove.name});
  const relation::Visibility in_posts({users}, {&of_posts->posts});
  const posts::PostsSql read_posts(in_posts);
  const posts::LikesSql read_likes(in_posts);
  const users::UsersSql read_users(relation::Visibility({&of_users->posts}, {}));
  for (const db::Sql* each : {&read_posts.get.stored, &read_posts.get.exact, &read_posts.get_liked.stored,
                              &read_posts.get_liked.exact, &read_posts.lookup, &read_likes.visible, &read_likes.of_post,
                              &read_users.get, &read_users.list, &read_users.list_by_name}) {
    names.insert(each->name);
  }
  for (const char* name : {"add", "insert", "of", "forget"}) names.insert(absl::StrCat("reclaimed_rows.", name));
  for (const char* name : {"add", "of", "purge"}) names.insert(absl::StrCat("deletion_rows.", name));
  for (const char* name : {"find", "find_any", "insert", "replace", "before_left_out", "old", "purge"}) {
    names.insert(absl::StrCat("requests.", name));
  }
  for (const char* name : {"find", "latest", "insert", "decide", "complete", "set_blocked", "oldest", "stale", "ended",
                           "purge", "purge_callers"}) {
    names.insert(absl::StrCat("user_deletions.", name));
  }
  for (const char* name : {"find", "lock", "set_state", "remove", "lookup"}) names.insert(absl::StrCat("users.", name));
  return names;
}

// Fills the tables with so many rows that a scan would be the dearer plan.
void Fill(Pair& pair) {
  const auto insert = [](TestDatabase& database, const std::string& head, int from, int to, const auto& row) {
    for (int begin = from; begin < to; begin += 500) {
      std::string sql = head;
      for (int i = begin; i < std::min(to, begin + 500); ++i) absl::StrAppend(&sql, i == begin ? "" : ",", row(i));
      database.Run(sql);
    }
  };
  insert(pair.user_db(), "INSERT INTO users (uid, username, state, version, create_time, update_time) VALUES ", 0, 3000,
         [](int i) { return absl::StrCat("('u", i, "','name", i, "',1,1,1,1)"); });
  insert(pair.user_db(),
         "INSERT INTO user_deletions (user_id, uid, action, state, blocked_reason, create_time, complete_time) VALUES ",
         0, 3000, [](int i) {
           return absl::StrCat("(", 100'000 + i, ",'d", i, "',2,5,'',", i, ",", 9'000'000'000'000'000 + i, ")");
         });
  insert(pair.user_db(), "INSERT INTO deletion_rows (deletion_id, relationship, removed) VALUES ", 0, 3000,
         [](int i) { return absl::StrCat("(", 100'000 + i, ",'post.v1.Post.user_id',0)"); });
  insert(pair.user_db(), "INSERT INTO user_deletions_callers (deletion_id, principal) VALUES ", 0, 3000,
         [](int i) { return absl::StrCat("(", 100'000 + i, ",'token:web')"); });
  for (TestDatabase* database : {&pair.user_db(), &pair.post_db()}) {
    insert(*database, "INSERT INTO reclaimed_rows (parent_id, relationship, removed) VALUES ", 0, 3000,
           [](int i) { return absl::StrCat("(", 1'000'000 + i, ",'post.v1.Post.user_id',0)"); });
  }
  // References to rows that are gone: their ids have to be such that were given once.
  pair.user_db().RaiseCounter("users", 200'000);
  insert(pair.post_db(), "INSERT INTO user_refs (id, uid, state) VALUES ", 1, 3000,
         [](int i) { return absl::StrCat("(", 10'000 + i, ",'r", i, "',1)"); });
  insert(pair.post_db(),
         "INSERT INTO posts (uid, user_id, title, content, content_bytes, version, create_time, update_time) VALUES ",
         1, 20'000, [](int i) { return absl::StrCat("('p", i, "',", 10'001 + i % 2990, ",'t','c',1,1,1,1)"); });
  insert(pair.post_db(), "INSERT INTO likes (post_id, user_id, create_time) VALUES ", 1, 20'000,
         [](int i) { return absl::StrCat("(", 1 + i % 5000, ",", 10'001 + (i / 5000 + i) % 2990, ",1)"); });
  pair.post_db().Run("UPDATE posts SET like_count = (SELECT COUNT(*) FROM likes WHERE likes.post_id = posts.id)");
  pair.post_db().RaiseCounter("posts", 200'000);
  insert(pair.user_db(), "INSERT INTO post_refs (id, uid, state) VALUES ", 1, 3000,
         [](int i) { return absl::StrCat("(", 100'000 + i, ",'r", i, "',1)"); });
  insert(pair.user_db(),
         "INSERT INTO users (uid, username, pinned_post_id, state, version, create_time, update_time) VALUES ", 1, 3000,
         [](int i) { return absl::StrCat("('v", i, "','pinning ", i, "',", 100'000 + i, ",1,1,1,1)"); });
  for (TestDatabase* database : {&pair.user_db(), &pair.post_db()}) {
    // These events have a type that nobody asks for, and a time in the future, so that they are not removed.
    insert(*database, "INSERT INTO outbox (event_id, type, subject, time, traceparent, payload) VALUES ", 0, 10'000,
           [](int i) { return absl::StrCat("('e", i, "','t.Filler','s',9000000000000000,'','')"); });
    insert(*database, "INSERT INTO requests (request_id, fingerprint, answer, time) VALUES ", 0, 3000,
           [](int i) { return absl::StrCat("('q", i, "','','',", 9'000'000'000'000'000 + i, ")"); });
    insert(*database, "INSERT INTO histories (name, state, sequence, event_id, reason) VALUES ", 0, 300,
           [](int i) { return absl::StrCat("('x", i, "',1,0,'','')"); });
    insert(*database, "INSERT INTO leases (name, holder, expires_at) VALUES ", 0, 300,
           [](int i) { return absl::StrCat("('x", i, "','',0)"); });
    insert(*database, "INSERT INTO checkpoints (feed, feed_id, last_sequence, last_deletion_sequence) VALUES ", 0, 300,
           [](int i) { return absl::StrCat("('x", i, "','',0,0)"); });
  }
  pair.AwaitQuiet();
  for (TestDatabase* database : {&pair.user_db(), &pair.post_db()}) {
    if (database->is_sqlite()) {
      database->Run("ANALYZE");
      continue;
    }
    for (const auto& table : database->Query("SHOW TABLES")) database->Run("ANALYZE TABLE " + table.front());
  }
}

// Makes calls about likes, from both ends, and about pins, and writes with a request_id.
void CallRelatedThings(Pair& pair, int64_t author, int64_t fan) {
  const auto ok = [&](const auto& answer) { EXPECT_THAT(answer.status, GrpcOk()); };
  const std::string with_id = absl::StrCat(" request_id: '", NewUuid(), "'");
  const int64_t post = pair.CreatePost(author);
  ok(Send<post::v1::CreatePostRequest>(pair, absl::StrCat("user_id: ", author, " title: 't' content: '",
                                                          std::string(300, 'x'), "' request_id: '", NewUuid(), "'")));
  const std::string like = absl::StrCat("post_id: ", post, " user_id: ", fan);
  ok(Send<post::v1::LikePostRequest>(pair, like + with_id));
  ok(Send<post::v1::UnlikePostRequest>(pair, like));
  ok(Send<post::v1::LikePostRequest>(pair, like));
  ok(Send<post::v1::ListPostLikesRequest>(pair, absl::StrCat("post_id: ", post)));
  ok(Send<post::v1::ListLikedPostsRequest>(pair, absl::StrCat("user_id: ", fan)));
  ok(Send<user::v1::UpdateUserRequest>(pair, absl::StrCat("user { id: ", fan, " pinned_post_id: ", post, " }")));
  const grpc::Status pinned =
      Send<user::v1::UpdateUserRequest>(pair, absl::StrCat("user { id: ", author, " pinned_post_id: ", post, " }"))
          .status;
  EXPECT_EQ(ReasonOf(pinned), "ALREADY_PINNED");
  ok(Send<post::v1::DeletePostRequest>(pair, absl::StrCat("id: ", post)));
  // One like went with its post. This one goes with its user.
  const int64_t kept = pair.CreatePost(author);
  ok(Send<post::v1::LikePostRequest>(pair, absl::StrCat("post_id: ", kept, " user_id: ", fan)));
  pair.AwaitQuiet();
  ok(Send<user::v1::DeleteUserRequest>(pair, absl::StrCat("id: ", fan, with_id)));
  pair.AwaitState(fan, user::v1::DELETION_STATE_COMPLETED);
}

// Makes one call of everything, so that every statement runs.
void CallEverything(Pair& pair) {
  using post::v1::PostService;
  using user::v1::UserService;
  const int64_t ada = pair.CreateUser("ada");
  const int64_t grace = pair.CreateUser("grace");
  const int64_t held = pair.CreateUser("held");
  // Several users that are created together.
  for (int round = 0; pair.user_sql().counted()["users.insert_all"].statements == 0 && round < 100; ++round) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 16; ++i)
      threads.emplace_back([&, i] { pair.CreateUser(absl::StrCat("of many ", round, " ", i)); });
    for (std::thread& thread : threads) thread.join();
  }
  const int64_t post = pair.CreatePost(ada);
  pair.CreatePost(held);
  pair.CreatePosts(grace, 2);

  user::v1::BatchGetUsersRequest batch;
  batch.add_ids(ada);
  user::v1::BatchGetUsersResponse users;
  EXPECT_THAT(Invoke(pair.users(), &UserService::Stub::BatchGetUsers, batch, &users), GrpcOk());
  for (const char* name : {"", "ada"}) {
    user::v1::ListUsersRequest list;
    list.set_username(name);
    user::v1::ListUsersResponse page;
    EXPECT_THAT(Invoke(pair.users(), &UserService::Stub::ListUsers, list, &page), GrpcOk());
  }
  user::v1::UpdateUserRequest rename;
  rename.mutable_user()->set_id(grace);
  rename.mutable_user()->set_username("grace h");
  user::v1::UpdateUserResponse renamed;
  EXPECT_THAT(Invoke(pair.users(), &UserService::Stub::UpdateUser, rename, &renamed), GrpcOk());

  for (const int64_t user : {int64_t{0}, ada}) {
    for (const auto& [newest, size] :
         {std::pair(false, 0), std::pair(true, 0), std::pair(false, 60), std::pair(true, 60)}) {
      post::v1::ListPostsRequest list;
      list.set_user_id(user);
      list.set_page_size(size);
      list.set_newest_first(newest);
      list.set_include_users(true);
      post::v1::ListPostsResponse page;
      EXPECT_THAT(Invoke(pair.posts(), &PostService::Stub::ListPosts, list, &page), GrpcOk());
    }
  }
  post::v1::UpdatePostRequest move;
  move.mutable_post()->set_id(post);
  move.mutable_post()->set_user_id(grace);
  post::v1::UpdatePostResponse moved;
  EXPECT_THAT(Invoke(pair.posts(), &PostService::Stub::UpdatePost, move, &moved), GrpcOk());
  post::v1::DeletePostRequest remove;
  remove.set_id(post);
  post::v1::DeletePostResponse removed;
  EXPECT_THAT(Invoke(pair.posts(), &PostService::Stub::DeletePost, remove, &removed), GrpcOk());

  CallRelatedThings(pair, ada, pair.CreateUser("fan"));

  // A post that somebody else likes is hidden first when its author is deleted.
  post::v1::LikePostRequest like;
  like.set_post_id(pair.CreatePost(grace));
  like.set_user_id(ada);
  post::v1::LikePostResponse liked_post;
  EXPECT_THAT(Invoke(pair.posts(), &PostService::Stub::LikePost, like, &liked_post), GrpcOk());

  user::v1::DeleteUserRequest preview;
  preview.set_id(grace);
  preview.set_validate_only(true);
  user::v1::DeleteUserResponse previewed;
  EXPECT_THAT(Invoke(pair.users(), &UserService::Stub::DeleteUser, preview, &previewed), GrpcOk());
  pair.Delete(grace);
  pair.AwaitState(grace, user::v1::DELETION_STATE_COMPLETED);

  // An intent that post-service refuses. While post-service is away user_deletions.set_blocked runs, and afterwards
  // user_refs.refuse.
  pair.StopPosts();
  pair.user_db().Run(absl::StrCat("UPDATE users SET state = 2 WHERE id = ", held));
  pair.user_db().Run(
      absl::StrCat("INSERT INTO user_deletions (user_id, uid, action, state, blocked_reason, create_time) "
                   "SELECT id, uid, 1, 1, '', 1 FROM users WHERE id = ",
                   held));
  EXPECT_TRUE(WaitFor([&] { return pair.user_sql().counted().count("user_deletions.set_blocked") > 0; }));
  // The release inserts the reference row of a user that post-service does not know.
  pair.hold_post_consumer = true;
  pair.StartPosts();
  pair.AwaitState(held, user::v1::DELETION_STATE_REFUSED);
  pair.CreatePost(pair.CreateUser("looked up"));
  const int64_t unmet = pair.CreateUser("unmet");
  pair.Delete(unmet);
  // Until a deleted user is reclaimed, likes are counted exactly.
  post::v1::ListPostsResponse page;
  EXPECT_THAT(Invoke(pair.posts(), &PostService::Stub::ListPosts, post::v1::ListPostsRequest(), &page), GrpcOk());
  post::v1::ListLikedPostsRequest of_user;
  of_user.set_user_id(10'002);
  post::v1::ListLikedPostsResponse liked;
  EXPECT_THAT(Invoke(pair.posts(), &PostService::Stub::ListLikedPosts, of_user, &liked), GrpcOk());
  pair.hold_post_consumer = false;
  pair.AwaitState(unmet, user::v1::DELETION_STATE_COMPLETED);

  // Forty days later the service removes old records when it starts.
  pair.StopUsers();
  pair.clock_offset_seconds = int64_t{40} * 24 * 3600;
  pair.StartUsers();
  EXPECT_TRUE(WaitFor([&] { return pair.user_sql().counted().count("user_deletions.purge") > 0; }));
  EXPECT_TRUE(WaitFor([&] { return pair.user_sql().counted().count("requests.purge") > 0; }));
  EXPECT_TRUE(WaitFor([&] { return pair.user_sql().counted().count("trim.remove") > 0; }));
  // A service that stops gives its leases back.
  pair.StopUsers();
  pair.StartUsers();
  // The feed got its name at the first start, and the event log's own statements run by themselves.
  pair.AwaitQuiet();
}

// The statement with its values in it, for EXPLAIN of MariaDB and MySQL.
std::string WithValues(const db::Rendered& rendered) {
  std::string sql;
  size_t next = 0;
  for (const char c : rendered.text) {
    if (c != '?') {
      sql.push_back(c);
      continue;
    }
    const db::Value& value = rendered.values.at(next++);
    if (const auto* number = std::get_if<int64_t>(&value)) {
      absl::StrAppend(&sql, *number);
    } else if (const auto* text = std::get_if<std::string>(&value)) {
      absl::StrAppend(&sql, "'", absl::StrReplaceAll(*text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
    } else {
      sql += "NULL";
    }
  }
  return sql;
}

// What is wrong with the plan; empty if nothing is.
std::string Problem(const TestDatabase& database, const db::Rendered& rendered) {
  if (database.is_sqlite()) {
    for (const auto& row : database.Query("EXPLAIN QUERY PLAN " + rendered.text)) {
      const std::string& step = row.back();
      // A scan of `referencing` or `deleted` is fine: each is a subquery that has been limited.
      const bool limited = absl::StartsWith(step, "SCAN referencing") || absl::StartsWith(step, "SCAN deleted");
      const bool scan = absl::StartsWith(step, "SCAN ") && !limited;
      if (scan || absl::StrContains(step, "TEMP B-TREE")) return step;
    }
    return "";
  }
  // MySQL explains in another way if nothing else is said, and has one more column, the partitions.
  for (const auto& row : database.Query("EXPLAIN /*!80001 FORMAT = TRADITIONAL */ " + WithValues(rendered))) {
    const std::string& table = row[2];
    const std::string& type = row[row.size() > 10 ? 4 : 3];
    const std::string& extra = row.back();
    const bool derived = absl::StartsWith(table, "<derived");
    if (!derived && (type == "ALL" || type == "index")) return absl::StrCat(table, " is scanned: ", type, " ", extra);
    if (absl::StrContains(extra, "filesort") || absl::StrContains(extra, "temporary")) return extra;
  }
  return "";
}

TEST_P(ExplainTest, EveryStatementUsesAnIndex) {
  Pair pair(GetParam());
  pair.CreateUser("to be trimmed");
  pair.AwaitQuiet();
  Fill(pair);
  CallEverything(pair);
  EXPECT_THAT(
      pair.post_app().sides().children.front()->references.Find(Call::Background(absl::Seconds(60)), {RowId{1}}),
      IsOk());

  std::set<std::string> expected = StatementsOfTheMechanism();
  for (const char* file : {"user-service/storage/users_sql.h", "post-service/storage/posts_sql.h",
                           "post-service/storage/likes_sql.h", "common/events/events_sql.h"}) {
    const std::set<std::string> names = StatementsOf(file);
    ASSERT_FALSE(names.empty()) << file;
    expected.insert(names.begin(), names.end());
  }
  // Only needed where the server does not return what it has inserted.
  if (GetParam() != "mysql") {
    expected.erase("posts.ids_by_uid");
    expected.erase("users.ids_by_uid");
  }
  // These run only when a history does not go on, or a deletion has no end.
  expected.erase("consumer.mismatch");
  expected.erase("feed.unnumbered_before");
  std::set<std::string> seen;
  for (const auto& [database, samples] :
       {std::pair(&pair.user_db(), pair.user_sql().samples()), std::pair(&pair.post_db(), pair.post_sql().samples())}) {
    for (const auto& [name, sample] : samples) {
      seen.insert(name);
      const std::string& text = sample.rendered.text;
      const bool plain_insert = absl::StartsWith(text, "INSERT");
      // What the database itself keeps has a row for each table, and no index. Nothing else reads it.
      const bool migration = absl::StartsWith(name, "migrations.") || absl::StrContains(name, "/000") ||
                             absl::StartsWith(name, "tables.") || absl::StartsWith(name, "counters.");
      if (plain_insert || migration || absl::StartsWith(name, "transaction.")) continue;
      EXPECT_EQ(Problem(*database, sample.rendered), "") << name << ": " << text;
    }
  }
  for (const std::string& name : expected) EXPECT_EQ(seen.count(name), 1u) << name << " has not run: call it above";
}

TEST_P(ExplainTest, AScanIsNoticed) {
  TestDatabase database(GetParam());
  database.Run("CREATE TABLE t (id BIGINT NOT NULL PRIMARY KEY, x BIGINT NOT NULL)");
  for (int i = 0; i < 100; ++i) database.Run(absl::StrCat("INSERT INTO t VALUES (", i, ", ", i, ")"));
  EXPECT_EQ(Problem(database, {"SELECT x FROM t WHERE id = ?", {int64_t{5}}, {}}), "");
  EXPECT_NE(Problem(database, {"SELECT id FROM t WHERE x = ?", {int64_t{5}}, {}}), "");
  EXPECT_NE(Problem(database, {"SELECT id FROM t WHERE id > ? ORDER BY x", {int64_t{5}}, {}}), "");
}

}  // namespace
}  // namespace crosskey::testing
