#include "tests/workload/snapshot.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "post/v1/post_events.pb.h"
#include "user/v1/user_events.pb.h"

namespace crosskey::testing {
namespace {

int64_t ToNumber(const std::string& text) { return std::atoll(text.c_str()); }

template <typename Payload>
Payload Parse(const std::string& bytes) {
  Payload payload;
  if (!payload.ParseFromString(bytes)) payload.Clear();
  return payload;
}

void Decode(const std::string& payload, LoggedEvent& event) {
  if (event.type == "user.v1.UserCreated") {
    event.user = Parse<user::v1::UserCreated>(payload).id();
  } else if (event.type == "user.v1.UserUpdated") {
    const auto updated = Parse<user::v1::UserUpdated>(payload);
    event.user = updated.id();
    event.paths = {updated.paths().begin(), updated.paths().end()};
  } else if (event.type == "user.v1.UserDeleted") {
    const auto deleted = Parse<user::v1::UserDeleted>(payload);
    event.user = deleted.id();
    event.deletion_id = deleted.deletion_id();
  } else if (event.type == "post.v1.PostCreated") {
    const auto created = Parse<post::v1::PostCreated>(payload);
    event.user = created.user_id();
    event.posts = {created.id()};
  } else if (event.type == "post.v1.PostUpdated") {
    event.posts = {Parse<post::v1::PostUpdated>(payload).id()};
  } else if (event.type == "post.v1.PostsDeleted") {
    const auto deleted = Parse<post::v1::PostsDeleted>(payload);
    for (const auto& post : deleted.posts()) event.posts.push_back(post.id());
  } else if (event.type == "post.v1.UserPostsReclaimed") {
    const auto reclaimed = Parse<post::v1::UserPostsReclaimed>(payload);
    event.user = reclaimed.user_id();
    event.deletion_id = reclaimed.deletion_id();
    event.count = reclaimed.posts();
    event.likes = reclaimed.likes();
  }
}

}  // namespace

Snapshot TakeSnapshot(const TestDatabase& user_db, const TestDatabase& post_db, const Snapshot& before) {
  Snapshot now;
  now.last_user = before.last_user;
  now.last_post = before.last_post;
  now.last_deletion = before.last_deletion;
  for (const auto& row : user_db.Query("SELECT id, uid, COALESCE(pinned_post_id, 0) FROM users")) {
    now.users[ToNumber(row[0])] = row[1];
    if (ToNumber(row[2]) != 0) now.pins[ToNumber(row[0])] = ToNumber(row[2]);
    now.last_user = std::max(now.last_user, ToNumber(row[0]));
  }
  const auto removed = [](const std::string& relationship) {
    return "COALESCE((SELECT r.removed FROM deletion_rows r WHERE r.deletion_id = d.deletion_id AND r.relationship = "
           "'" +
           relationship + "'), 0)";
  };
  for (const auto& row : user_db.Query(absl::StrCat(
           "SELECT d.deletion_id, d.user_id, d.action, d.state, ", removed("post.v1.Post.user_id"), ", ",
           removed("post.v1.Like.user_id"), " FROM user_deletions d WHERE d.deletion_id > ", before.last_deletion))) {
    const int64_t id = ToNumber(row[0]);
    now.deletions[id] = {ToNumber(row[1]), static_cast<::relation::v1::ReferentialAction>(ToNumber(row[2])),
                         static_cast<user::v1::DeletionState>(ToNumber(row[3])), ToNumber(row[4]), ToNumber(row[5])};
    now.last_deletion = std::max(now.last_deletion, id);
  }
  for (const auto& row : post_db.Query("SELECT id, user_id, title, like_count FROM posts")) {
    const int64_t id = ToNumber(row[0]);
    now.posts[id] = {id, ToNumber(row[1]), NumberOf(row[2]), ToNumber(row[3])};
    now.last_post = std::max(now.last_post, id);
  }
  for (const auto& row : post_db.Query("SELECT id, uid FROM user_refs WHERE state = 1")) {
    now.user_refs[ToNumber(row[0])] = row[1];
  }
  for (const auto& row : user_db.Query("SELECT id FROM post_refs WHERE state = 1")) {
    now.post_refs.insert(ToNumber(row[0]));
  }
  for (const auto& row : post_db.Query("SELECT post_id, user_id FROM likes")) {
    now.likes.emplace(ToNumber(row[0]), ToNumber(row[1]));
  }
  now.tombstones = post_db.Number("SELECT COUNT(*) FROM user_refs WHERE state <> 1") +
                   user_db.Number("SELECT COUNT(*) FROM post_refs WHERE state <> 1");
  now.hidden_posts = post_db.Number("SELECT COUNT(*) FROM posts WHERE state <> 1");
  now.user_head = user_db.Number("SELECT head FROM feed");
  now.post_head = post_db.Number("SELECT head FROM feed");
  return now;
}

EventLog ReadEvents(const TestDatabase& database, int64_t after) {
  EventLog log;
  log.unnumbered = database.Number("SELECT COUNT(*) FROM outbox WHERE sequence IS NULL");
  for (const auto& row : database.Query(
           absl::StrCat("SELECT sequence, event_id, type, subject, HEX(payload) FROM outbox WHERE sequence > ", after,
                        " ORDER BY sequence, id"))) {
    LoggedEvent& event = log.events.emplace_back();
    event.sequence = ToNumber(row[0]);
    event.id = row[1];
    event.type = row[2];
    event.subject = row[3];
    Decode(absl::HexStringToBytes(row[4]), event);
  }
  return log;
}

}  // namespace crosskey::testing
