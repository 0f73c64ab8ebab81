#include "post-service/storage/post_store.h"

#include <algorithm>
#include <limits>
#include <map>

#include "absl/strings/str_replace.h"
#include "common/fault/fault.h"
#include "common/status/limits.h"
#include "post-service/storage/posts_sql.h"

namespace crosskey::posts {
namespace {

constexpr int64_t kVisible = 1;         // user_refs.state
constexpr int64_t kBytesBesides = 700;  // of a post in a response, title and times included, without the content
constexpr int64_t kScanRows = 1000;     // of one scanning statement

const db::Sql& Visible() {
#ifdef CROSSKEY_TEST_BUILD
  // Without what makes a cascade atomic: for the test that shows what it is for.
  static const db::Sql any_state{"posts.get", absl::StrReplaceAll(sql::kGet.text, {{" AND r.state = 1", ""}})};
  if (fault::Without(fault::Guard::kVisibilityJoin)) return any_state;
#endif
  return sql::kGet;
}

template <typename... Arguments>
absl::StatusOr<std::vector<Post>> Select(db::Connection& connection, const db::Sql& sql,
                                         const Arguments&... arguments) {
  CROSSKEY_ASSIGN_OR_RETURN(
      auto rows, (connection.Query<int64_t, std::string, int64_t, std::string, std::string, int64_t, int64_t, int64_t>(
                     sql, arguments...)));
  std::vector<Post> posts;
  posts.reserve(rows.size());
  for (auto& [id, uid, user_id, title, content, version, create_time, update_time] : rows) {
    posts.push_back(
        {id, std::move(uid), user_id, std::move(title), std::move(content), version, create_time, update_time});
  }
  return posts;
}

// Finds out which posts the next page has, without reading them.
class Scan {
 public:
  Scan(db::Connection& connection, const PageQuery& query) : connection_(connection), query_(query) {
    position_ = query.after;
    if (query.newest_first && position_ == 0) position_ = std::numeric_limits<int64_t>::max();
  }

  absl::Status Run() {
    int64_t chunk = std::min(query_.limit + 1, kScanRows);
    while (examined_ < limits::kRowsExamined) {
      chunk = std::min(chunk, limits::kRowsExamined - examined_);
      CROSSKEY_ASSIGN_OR_RETURN(const auto rows, Next(chunk));
      for (const auto& [id, content_bytes, state] : rows) {
        if (state == kVisible && !Take(id, content_bytes)) {
          more_ = true;
          return absl::OkStatus();
        }
        position_ = id;
        ++examined_;
      }
      if (static_cast<int64_t>(rows.size()) < chunk) return absl::OkStatus();
      chunk = kScanRows;
    }
    more_ = true;
    return absl::OkStatus();
  }

  const std::vector<int64_t>& ids() const { return ids_; }
  std::optional<int64_t> next() const { return more_ ? std::optional<int64_t>(position_) : std::nullopt; }

 private:
  using Rows = std::vector<std::tuple<int64_t, int64_t, int64_t>>;

  absl::StatusOr<Rows> Next(int64_t limit) {
    if (query_.user_id == 0) {
      return connection_.Query<int64_t, int64_t, int64_t>(query_.newest_first ? sql::kScanBack : sql::kScan, position_,
                                                          limit);
    }
    return connection_.Query<int64_t, int64_t, int64_t>(query_.newest_first ? sql::kScanUserBack : sql::kScanUser,
                                                        query_.user_id, position_, limit);
  }

  // False: the page is full.
  bool Take(int64_t id, int64_t content_bytes) {
    if (static_cast<int64_t>(ids_.size()) == query_.limit) return false;
    const int64_t size = content_bytes + kBytesBesides;
    if (!ids_.empty() && bytes_ + size > limits::kPageBytes) return false;
    bytes_ += size;
    ids_.push_back(id);
    return true;
  }

  db::Connection& connection_;
  const PageQuery& query_;
  int64_t position_ = 0;
  int64_t examined_ = 0;
  int64_t bytes_ = 0;
  bool more_ = false;
  std::vector<int64_t> ids_;
};

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
  CROSSKEY_ASSIGN_OR_RETURN(auto posts, Select(tx_.db(), sql::kLock, id));
  if (posts.empty()) return std::nullopt;
  return std::move(posts.front());
}

absl::Status PostTx::Update(const Post& post) {
  return tx_.db()
      .Execute(sql::kUpdate, post.user_id, post.title, post.content, static_cast<int64_t>(post.content.size()),
               post.version, post.update_time, post.id)
      .status();
}

absl::Status PostTx::Remove(int64_t id) { return tx_.db().Execute(sql::kRemove, id).status(); }

absl::StatusOr<std::vector<Post>> PostStore::Get(const Call& call, const std::vector<int64_t>& ids) {
  std::vector<Post> posts;
  CROSSKEY_RETURN_IF_ERROR(database_.Read(call, [&](db::Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(posts, Select(connection, Visible(), ids));
    return absl::OkStatus();
  }));
  return posts;
}

absl::StatusOr<Page> PostStore::List(const Call& call, const PageQuery& query) {
  Page page;
  CROSSKEY_RETURN_IF_ERROR(database_.Read(call, [&](db::Connection& connection) -> absl::Status {
    Scan scan(connection, query);
    CROSSKEY_RETURN_IF_ERROR(scan.Run());
    page = Page{{}, scan.next()};
    if (scan.ids().empty()) return absl::OkStatus();
    // This statement decides what is visible: users deleted since the scan are missing whole.
    CROSSKEY_ASSIGN_OR_RETURN(page.posts, Select(connection, Visible(), scan.ids()));
    if (query.newest_first) std::reverse(page.posts.begin(), page.posts.end());
    return absl::OkStatus();
  }));
  return page;
}

}  // namespace crosskey::posts
