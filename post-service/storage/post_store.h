// The posts' table.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/events/outbox.h"
#include "post-service/domain/post.h"

namespace crosskey::posts {

// Changes within one transaction that holds the references to the users of all posts it touches (relation::Guard).
class PostTx {
 public:
  explicit PostTx(events::Tx& tx) : tx_(tx) {}

  // Fills in the ids. At most 1,000.
  absl::Status Insert(std::vector<Post>& posts);
  // The post, locked against every change until the end of the transaction.
  absl::StatusOr<std::optional<Post>> Lock(int64_t id);
  // Stores everything except id, uid and create_time.
  absl::Status Update(const Post& post);
  absl::Status Remove(int64_t id);
  void Append(events::Draft event) { tx_.Append(std::move(event)); }

 private:
  events::Tx& tx_;
};

struct PageQuery {
  int64_t user_id = 0;  // 0: the posts of all users
  bool newest_first = false;
  int64_t after = 0;  // the id where the previous page ended; 0: from the beginning
  int64_t limit = 0;
};

struct Page {
  std::vector<Post> posts;
  std::optional<int64_t> next;  // `after` of the next page; none: this is the last one
};

// Reads see no post of a user that is deleted. Thread-safe.
class PostStore {
 public:
  explicit PostStore(db::Database& database) : database_(database) {}

  // Those that exist, by ascending id; at most 1,000 ids.
  absl::StatusOr<std::vector<Post>> Get(const Call& call, const std::vector<int64_t>& ids);
  // A page ends at its limit, at limits::kPageBytes, or when limits::kRowsExamined rows have been looked at: so it may
  // be short, even empty, and yet have a next one. Its posts are all or none of each user's, as of one instant.
  absl::StatusOr<Page> List(const Call& call, const PageQuery& query);

 private:
  db::Database& database_;
};

}  // namespace crosskey::posts
