#include "tests/workload/facts.h"

#include <algorithm>

namespace crosskey::testing {
namespace {

void Earliest(int64_t& time, int64_t candidate) { time = std::min(time, candidate); }

int64_t EndOf(const Entry& entry) { return entry.outcome == Outcome::kOk ? entry.end : kNever; }

}  // namespace

Facts::Facts(const Snapshot& before, const History& history) {
  for (const auto& [id, uid] : before.users) {
    users[id].known = true;
    users[id].uid = uid;
  }
  for (const auto& [id, row] : before.posts) {
    posts[id] = {0, row.user, {{0, 0, row.user}}, {{0, 0, row.title}}};
    users[row.user].posts.push_back(id);
  }
  for (const auto& [post, user] : before.likes) {
    likes[post][user] = {{0, 0, 1}};
    liked[user].insert(post);
  }
  for (const auto& [user, post] : before.pins) {
    pins[user] = {{0, 0, post}};
    pinners[post].insert(user);
  }
  for (const Entry& entry : history) AddLike(entry);
  for (const Entry& entry : history) AddPin(entry);
  for (const Entry& entry : history) AddCreated(entry);
  for (const Entry& entry : history) AddChange(entry);
  for (const Entry& entry : history) AddDeletion(entry);
  // Comes last: that something was missing tells of a deletion only if nothing else explains it.
  for (const Entry& entry : history) AddAbsence(entry);
}

const PostFacts* Facts::FindPost(int64_t id) const {
  const auto found = posts.find(id);
  return found == posts.end() ? nullptr : &found->second;
}

const UserFacts* Facts::FindUser(int64_t id) const {
  const auto found = users.find(id);
  return found == users.end() ? nullptr : &found->second;
}

bool Facts::IsCertain(const PostFacts& post, int64_t since, int64_t until) {
  return post.created < since && post.may_move > until && post.may_delete > until;
}

bool Facts::MayBeGone(const PostFacts& post, int64_t until) const {
  return post.may_delete < until || std::any_of(post.users.begin(), post.users.end(), [&](const Change& change) {
           return change.begin < until && MayBeGone(FindUser(change.value), until);
         });
}

const std::vector<Change>& Facts::LikesOf(int64_t post, int64_t user) const {
  static const std::vector<Change> none = {{0, 0, 0}};
  const auto of_post = likes.find(post);
  if (of_post == likes.end()) return none;
  const auto found = of_post->second.find(user);
  return found == of_post->second.end() ? none : found->second;
}

const std::vector<Change>& Facts::PinsOf(int64_t user) const {
  static const std::vector<Change> none = {{0, 0, 0}};
  const auto found = pins.find(user);
  return found == pins.end() ? none : found->second;
}

void Facts::AddLike(const Entry& entry) {
  if ((entry.op != Op::kLikePost && entry.op != Op::kUnlikePost) || entry.outcome == Outcome::kFailed) return;
  std::vector<Change>& changes = likes[entry.post][entry.user];
  if (changes.empty()) changes.push_back({0, 0, 0});
  changes.push_back({entry.begin, EndOf(entry), entry.op == Op::kLikePost ? 1 : 0});
  liked[entry.user].insert(entry.post);
}

void Facts::AddPin(const Entry& entry) {
  if ((entry.op != Op::kPinPost && entry.op != Op::kUnpinPost) || entry.outcome == Outcome::kFailed) return;
  std::vector<Change>& changes = pins[entry.user];
  if (changes.empty()) changes.push_back({0, 0, 0});
  changes.push_back({entry.begin, EndOf(entry), entry.post});
  if (entry.op == Op::kPinPost) pinners[entry.post].insert(entry.user);
}

void Facts::AddCreated(const Entry& entry) {
  if (entry.outcome != Outcome::kOk) return;
  if (entry.op == Op::kCreateUser) {
    UserFacts& user = users[entry.user];
    user.known = true;
    user.created = entry.end;
    user.uid = entry.uid;
  } else if (entry.op == Op::kCreatePost || entry.op == Op::kBatchCreatePosts) {
    for (const Row& row : entry.rows) {
      posts[row.id] = {
          entry.end, row.user, {{entry.begin, entry.end, row.user}}, {{entry.begin, entry.end, row.title}}};
      users[row.user].posts.push_back(row.id);
    }
  }
}

void Facts::AddChange(const Entry& entry) {
  if (entry.outcome == Outcome::kFailed) return;
  const auto found = posts.find(entry.post);
  if (found == posts.end()) return;
  PostFacts& post = found->second;
  if (entry.op == Op::kUpdatePost) {
    if (entry.title != 0) post.titles.push_back({entry.begin, EndOf(entry), entry.title});
    if (entry.user != 0) {
      post.users.push_back({entry.begin, EndOf(entry), entry.user});
      Earliest(post.may_move, entry.begin);
    }
  } else if (entry.op == Op::kDeletePost) {
    Earliest(post.may_delete, entry.begin);
    Earliest(post.deleted, EndOf(entry));
  }
}

void Facts::AddDeletion(const Entry& entry) {
  if (entry.op != Op::kDeleteUser && entry.op != Op::kGetUserDeletion) return;
  UserFacts& user = users[entry.user];
  if (entry.op == Op::kDeleteUser) {
    Earliest(user.may_try, entry.begin);
    if (entry.outcome != Outcome::kFailed) Earliest(user.may_delete, entry.begin);
  }
  if (entry.outcome != Outcome::kOk) return;
  const bool released =
      entry.state == user::v1::DELETION_STATE_RECLAIMING || entry.state == user::v1::DELETION_STATE_COMPLETED;
  if (released || entry.state == user::v1::DELETION_STATE_PENDING) Earliest(user.dropped, entry.end);
  if (released) Earliest(user.released, entry.end);
}

void Facts::AddAbsence(const Entry& entry) {
  if (entry.op == Op::kGetUser && entry.outcome == Outcome::kFailed && entry.reason == "USER_NOT_FOUND") {
    UserFacts& user = users[entry.user];
    if (user.known && user.created < entry.begin) Earliest(user.dropped, entry.end);
  }
  if ((entry.op == Op::kGetPost || entry.op == Op::kListPostLikes) && entry.outcome == Outcome::kFailed &&
      entry.reason == "POST_NOT_FOUND") {
    const PostFacts* post = FindPost(entry.post);
    if (post != nullptr && IsCertain(*post, entry.begin, entry.end)) {
      Earliest(users[post->first_user].vanished, entry.end);
    }
  }
  if (entry.op == Op::kListPosts && entry.outcome == Outcome::kOk && entry.whole_list && entry.rows.empty()) {
    UserFacts& user = users[entry.user];
    if (std::any_of(user.posts.begin(), user.posts.end(),
                    [&](int64_t id) { return IsCertain(posts[id], entry.begin, entry.end); })) {
      Earliest(user.vanished, entry.end);
    }
  }
}

}  // namespace crosskey::testing
