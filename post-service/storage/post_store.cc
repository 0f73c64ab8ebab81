#include "post-service/storage/post_store.h"

#include <algorithm>
#include <limits>
#include <map>

#include "common/status/limits.h"
#include "post-service/storage/likes_sql.h"

namespace crosskey::posts {
namespace {

constexpr int64_t kBytesBesides = 700;  // of a post in a response, without its content; title and times included

template <typename Row>
Post ToPost(Row& row) {
  return {std::get<0>(row),
          std::move(std::get<1>(row)),
          std::get<2>(row),
          std::move(std::get<3>(row)),
          std::move(std::get<4>(row)),
          std::get<5>(row),
          std::get<6>(row),
          std::get<7>(row),
          std::get<8>(row)};
}

template <typename Rows>
std::vector<Post> ToPosts(Rows& rows) {
  std::vector<Post> posts;
  posts.reserve(rows.size());
  for (auto& row : rows) posts.push_back(ToPost(row));
  return posts;
}

template <typename... Arguments>
absl::StatusOr<std::vector<Post>> Select(db::Connection& connection, const PostsReading& sql,
                                         const Arguments&... arguments) {
  CROSSKEY_ASSIGN_OR_RETURN(
      auto stored, (connection.Query<RowId, std::string, RowId, std::string, std::string, int64_t, int64_t, int64_t,
                                     int64_t, int64_t>(sql.stored, arguments...)));
  const bool may_count_too_many =
      std::any_of(stored.begin(), stored.end(), [](const auto& row) { return std::get<9>(row) != 0; });
  if (!may_count_too_many) return ToPosts(stored);
  CROSSKEY_ASSIGN_OR_RETURN(
      auto exact,
      (connection.Query<RowId, std::string, RowId, std::string, std::string, int64_t, int64_t, int64_t, int64_t>(
          sql.exact, arguments...)));
  return ToPosts(exact);
}

absl::StatusOr<Scan::Rows> WithSizes(absl::StatusOr<Scan::Rows> rows) {
  if (rows.ok()) {
    for (auto& row : *rows) std::get<1>(row) += kBytesBesides;
  }
  return rows;
}

// A page that one statement can tell; nullopt: some of its rows are hidden, or their likes have to be counted exactly.
absl::StatusOr<std::optional<Page<Post>>> PageAtOnce(db::Connection& connection, const PostQuery& query) {
  const bool back = query.start.descending;
  const int64_t after = back && query.start.after == 0 ? std::numeric_limits<int64_t>::max() : query.start.after;
  const auto read = [&](const db::Sql& sql, const auto&... arguments) {
    return connection.Query<RowId, std::string, RowId, std::string, std::string, int64_t, int64_t, int64_t, int64_t,
                            int64_t, int64_t, int64_t>(sql, arguments..., after, query.start.limit + 1);
  };
  CROSSKEY_ASSIGN_OR_RETURN(auto rows, query.user_id == RowId{}
                                           ? read(back ? sql::kPageBack : sql::kPage)
                                           : read(back ? sql::kPageUserBack : sql::kPageUser, query.user_id));
  Page<Post> page;
  int64_t bytes = 0;
  for (auto& row : rows) {
    if (std::get<9>(row) != 0 || std::get<11>(row) == 0) return std::nullopt;
    bytes += std::get<10>(row) + kBytesBesides;
    const bool full = static_cast<int64_t>(page.rows.size()) == query.start.limit || bytes > limits::kPageBytes;
    if (full && !page.rows.empty()) {
      page.next = Value(page.rows.back().id);
      break;
    }
    page.rows.push_back(ToPost(row));
  }
  return page;
}

}  // namespace

absl::Status PostTx::Insert(std::vector<Post>& posts) {
  if (posts.size() == 1) {
    Post& post = posts.front();
    CROSSKEY_ASSIGN_OR_RETURN(const int64_t id, tx_.db().Insert(sql::kInsert, post.uid, post.user_id, post.title,
                                                                post.content, static_cast<int64_t>(post.content.size()),
                                                                post.version, post.create_time, post.update_time));
    post.id = RowId{id};
    return absl::OkStatus();
  }
  std::vector<std::vector<db::Argument>> rows;
  rows.reserve(posts.size());
  for (const Post& post : posts) {
    rows.push_back({post.uid, post.user_id, post.title, post.content, static_cast<int64_t>(post.content.size()),
                    post.version, post.create_time, post.update_time});
  }
  CROSSKEY_ASSIGN_OR_RETURN(auto ids, (tx_.db().InsertRows<RowId, std::string>(sql::kInsertAll, rows)));
  if (ids.size() != posts.size()) {
    std::vector<std::string> uids;
    for (const Post& post : posts) uids.push_back(post.uid);
    CROSSKEY_ASSIGN_OR_RETURN(ids, (tx_.db().Query<RowId, std::string>(sql::kIdsByUid, uids)));
  }
  std::map<std::string, RowId> by_uid;
  for (const auto& [id, uid] : ids) by_uid[uid] = id;
  for (Post& post : posts) post.id = by_uid[post.uid];
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Post>> PostTx::Lock(RowId id) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto locked, tx_.db().QueryOne<RowId>(sql::kLock, id));
  if (!locked.has_value()) return std::nullopt;
  // Nobody else can change the post from here on, so it is read without a lock.
  CROSSKEY_ASSIGN_OR_RETURN(auto posts, Select(tx_.db(), sql_.get, id));
  if (posts.empty()) return std::nullopt;
  return std::move(posts.front());
}

absl::StatusOr<std::map<RowId, RowId>> PostTx::LockFree(const std::vector<RowId>& ids) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto locked, (tx_.db().Query<RowId, RowId>(sql::kLockFree, ids)));
  std::map<RowId, RowId> users;
  for (const auto& [id, user_id] : locked) users[id] = user_id;
  return users;
}

absl::StatusOr<std::map<RowId, Post>> PostTx::Read(const std::vector<RowId>& ids) {
  std::map<RowId, Post> posts;
  if (ids.empty()) return posts;
  CROSSKEY_ASSIGN_OR_RETURN(auto read, Select(tx_.db(), sql_.get, ids));
  for (Post& post : read) posts.emplace(post.id, std::move(post));
  return posts;
}

absl::Status PostTx::Update(const Post& post) {
  return tx_.db()
      .Execute(sql::kUpdate, post.user_id, post.title, post.content, static_cast<int64_t>(post.content.size()),
               post.version, post.update_time, post.id)
      .status();
}

absl::StatusOr<std::vector<Post>> PostStore::Get(const Call& call, const std::vector<RowId>& ids) {
  return database_.Read(call, [&](db::Connection& connection) { return Select(connection, sql_.get, ids); });
}

absl::StatusOr<std::map<RowId, RowId>> PostStore::Authors(const Call& call, const std::vector<RowId>& ids) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, database_.Read(call, [&](db::Connection& connection) {
    return connection.Query<RowId, RowId>(sql::kAuthors, ids);
  }));
  std::map<RowId, RowId> authors;
  for (const auto& [id, user_id] : rows) authors[id] = user_id;
  return authors;
}

absl::StatusOr<Page<Post>> PostStore::List(const Call& call, const PostQuery& query) {
  const bool back = query.start.descending;
  return database_.Read(call, [&](db::Connection& connection) -> absl::StatusOr<Page<Post>> {
    // Read at once, a post can have 64 KiB, so this must be few.
    if (query.start.limit <= limits::kDefaultPageRows) {
      CROSSKEY_ASSIGN_OR_RETURN(std::optional<Page<Post>> page, PageAtOnce(connection, query));
      if (page.has_value()) return *std::move(page);
    }
    Scan scan(query.start, [&](int64_t after, int64_t limit) {
      if (query.user_id == RowId{}) {
        return WithSizes(connection.Query<int64_t, int64_t, int64_t>(back ? sql::kScanBack : sql::kScan, after, limit));
      }
      return WithSizes(connection.Query<int64_t, int64_t, int64_t>(back ? sql::kScanUserBack : sql::kScanUser,
                                                                   query.user_id, after, limit));
    });
    CROSSKEY_RETURN_IF_ERROR(scan.Run());
    Page<Post> page{{}, scan.next()};
    if (scan.keys().empty()) return page;
    // This statement decides what is visible. If a user was deleted since the scan, all posts of the user are missing.
    CROSSKEY_ASSIGN_OR_RETURN(page.rows, Select(connection, sql_.get, scan.keys()));
    if (back) std::reverse(page.rows.begin(), page.rows.end());
    return page;
  });
}

absl::StatusOr<Page<Post>> PostStore::ListLiked(const Call& call, RowId user_id, int64_t after, int64_t limit) {
  return database_.Read(call, [&](db::Connection& connection) -> absl::StatusOr<Page<Post>> {
    Scan scan({after, limit}, [&](int64_t post_id, int64_t rows) {
      return WithSizes(connection.Query<int64_t, int64_t, int64_t>(sql::kScanLikesOfUser, user_id, post_id, rows));
    });
    CROSSKEY_RETURN_IF_ERROR(scan.Run());
    Page<Post> page{{}, scan.next()};
    if (scan.keys().empty()) return page;
    CROSSKEY_ASSIGN_OR_RETURN(page.rows, Select(connection, sql_.get_liked, user_id, scan.keys()));
    return page;
  });
}

}  // namespace crosskey::posts
