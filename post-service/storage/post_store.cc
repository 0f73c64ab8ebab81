#include "post-service/storage/post_store.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_replace.h"
#include "common/fault/fault.h"
#include "post-service/storage/likes_sql.h"
#include "post-service/storage/posts_sql.h"

namespace crosskey::posts {
namespace {

constexpr int64_t kBytesBesides = 700;  // of a post in a response, title and times included, without the content

const db::Sql& Visible() {
#ifdef CROSSKEY_TEST_BUILD
  // Without what makes a cascade atomic: for the tests that show what it is for.
  static const db::Sql any_state{"posts.get", absl::StrReplaceAll(sql::kGet.text, {{" AND r.state = 1", ""}})};
  static const db::Sql any_like{"posts.get", absl::StrReplaceAll(sql::kGet.text, {{"g.state > 1", "g.state > 9"}})};
  if (fault::Without(fault::Guard::kVisibilityJoin)) return any_state;
  if (fault::Without(fault::Guard::kLikeCount)) return any_like;
#endif
  return sql::kGet;
}

const db::Sql& LockSql() {
#ifdef CROSSKEY_TEST_BUILD
  static const db::Sql unlocked{"posts.lock", absl::StrReplaceAll(sql::kLock.text, {{" {update}", ""}})};
  if (fault::Without(fault::Guard::kPostLock)) return unlocked;
#endif
  return sql::kLock;
}

template <typename... Arguments>
absl::StatusOr<std::vector<Post>> Select(db::Connection& connection, const db::Sql& sql,
                                         const Arguments&... arguments) {
  CROSSKEY_ASSIGN_OR_RETURN(
      auto rows,
      (connection.Query<int64_t, std::string, int64_t, std::string, std::string, int64_t, int64_t, int64_t, int64_t>(
          sql, arguments...)));
  std::vector<Post> posts;
  posts.reserve(rows.size());
  for (auto& [id, uid, user_id, title, content, like_count, version, create_time, update_time] : rows) {
    posts.push_back({id, std::move(uid), user_id, std::move(title), std::move(content), like_count, version,
                     create_time, update_time});
  }
  return posts;
}

absl::StatusOr<Scan::Rows> WithSizes(absl::StatusOr<Scan::Rows> rows) {
  if (rows.ok()) {
    for (auto& row : *rows) std::get<1>(row) += kBytesBesides;
  }
  return rows;
}

}  // namespace

absl::Status PostTx::Insert(std::vector<Post>& posts) {
  std::vector<std::vector<db::Argument>> rows;
  rows.reserve(posts.size());
  for (const Post& post : posts) {
    rows.push_back({post.uid, post.user_id, post.title, post.content, static_cast<int64_t>(post.content.size()),
                    post.version, post.create_time, post.update_time});
  }
  CROSSKEY_RETURN_IF_ERROR(tx_.db().ExecuteRows(sql::kInsert, rows).status());
  std::vector<std::string> uids;
  for (const Post& post : posts) uids.push_back(post.uid);
  CROSSKEY_ASSIGN_OR_RETURN(const auto ids, (tx_.db().Query<int64_t, std::string>(sql::kIdsByUid, uids)));
  std::map<std::string, int64_t> by_uid;
  for (const auto& [id, uid] : ids) by_uid[uid] = id;
  for (Post& post : posts) post.id = by_uid[post.uid];
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Post>> PostTx::Lock(int64_t id) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto locked, tx_.db().QueryOne<int64_t>(LockSql(), id));
  if (!locked.has_value()) return std::nullopt;
  // Nobody else can change it from here on.
  CROSSKEY_ASSIGN_OR_RETURN(auto posts, Select(tx_.db(), sql::kGet, id));
  if (posts.empty()) return std::nullopt;
  return std::move(posts.front());
}

absl::Status PostTx::Update(const Post& post) {
  return tx_.db()
      .Execute(sql::kUpdate, post.user_id, post.title, post.content, static_cast<int64_t>(post.content.size()),
               post.version, post.update_time, post.id)
      .status();
}

absl::Status PostTx::Hide(int64_t id) { return tx_.db().Execute(sql::kHide, id).status(); }

absl::StatusOr<bool> PostTx::HasLike(int64_t post_id, int64_t user_id) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto row, tx_.db().QueryOne<int64_t>(sql::kHasLike, post_id, user_id));
  return row.has_value();
}

absl::Status PostTx::AddLike(const Like& like) {
  CROSSKEY_RETURN_IF_ERROR(tx_.db().Execute(sql::kCountLike, 1, like.post_id).status());
  return tx_.db().Execute(sql::kInsertLike, like.post_id, like.user_id, like.create_time).status();
}

absl::Status PostTx::RemoveLike(int64_t post_id, int64_t user_id) {
  CROSSKEY_RETURN_IF_ERROR(tx_.db().Execute(sql::kCountLike, -1, post_id).status());
  return tx_.db().Execute(sql::kRemoveLike, post_id, user_id).status();
}

absl::StatusOr<std::vector<Post>> PostStore::Get(const Call& call, const std::vector<int64_t>& ids) {
  std::vector<Post> posts;
  CROSSKEY_RETURN_IF_ERROR(database_.Read(call, [&](db::Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(posts, Select(connection, Visible(), ids));
    return absl::OkStatus();
  }));
  return posts;
}

absl::StatusOr<Page<Post>> PostStore::List(const Call& call, const PostQuery& query) {
  Page<Post> page;
  const bool back = query.start.descending;
  CROSSKEY_RETURN_IF_ERROR(database_.Read(call, [&](db::Connection& connection) -> absl::Status {
    Scan scan(query.start, [&](int64_t after, int64_t limit) {
      if (query.user_id == 0) {
        return WithSizes(connection.Query<int64_t, int64_t, int64_t>(back ? sql::kScanBack : sql::kScan, after, limit));
      }
      return WithSizes(connection.Query<int64_t, int64_t, int64_t>(back ? sql::kScanUserBack : sql::kScanUser,
                                                                   query.user_id, after, limit));
    });
    CROSSKEY_RETURN_IF_ERROR(scan.Run());
    page = {{}, scan.next()};
    if (scan.keys().empty()) return absl::OkStatus();
    // This statement decides what is visible: users deleted since the scan are missing whole.
    CROSSKEY_ASSIGN_OR_RETURN(page.rows, Select(connection, Visible(), scan.keys()));
    if (back) std::reverse(page.rows.begin(), page.rows.end());
    return absl::OkStatus();
  }));
  return page;
}

absl::StatusOr<Page<Post>> PostStore::ListLiked(const Call& call, int64_t user_id, int64_t after, int64_t limit) {
  Page<Post> page;
  CROSSKEY_RETURN_IF_ERROR(database_.Read(call, [&](db::Connection& connection) -> absl::Status {
    Scan scan({after, limit}, [&](int64_t post_id, int64_t rows) {
      return WithSizes(connection.Query<int64_t, int64_t, int64_t>(sql::kScanLikesOfUser, user_id, post_id, rows));
    });
    CROSSKEY_RETURN_IF_ERROR(scan.Run());
    page = {{}, scan.next()};
    if (scan.keys().empty()) return absl::OkStatus();
    CROSSKEY_ASSIGN_OR_RETURN(page.rows, Select(connection, sql::kGetLiked, user_id, scan.keys()));
    return absl::OkStatus();
  }));
  return page;
}

}  // namespace crosskey::posts
