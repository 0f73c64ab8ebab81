#include "tests/workload/population.h"

#include <algorithm>

namespace crosskey::testing {

int64_t Between(Random& random, int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random);
}

int64_t Population::UserBetween(Random& random, size_t low, size_t high) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return users_[static_cast<size_t>(Between(random, static_cast<int64_t>(low), static_cast<int64_t>(high) - 1))].user;
}

int64_t Population::AnyUser(Random& random) { return UserBetween(random, 0, users_.size()); }
int64_t Population::BusyUser(Random& random) { return UserBetween(random, users_.size() / 3, users_.size()); }
int64_t Population::QuietUser(Random& random) { return UserBetween(random, 0, users_.size() / 3); }

int64_t Population::LivingUser(Random& random) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto first = static_cast<size_t>(Between(random, 0, static_cast<int64_t>(users_.size()) - 1));
  for (size_t i = 0; i < users_.size(); ++i) {
    const Slot& slot = users_[(first + i) % users_.size()];
    if (!slot.deleted) return slot.user;
  }
  return 0;
}

int64_t Population::NewestUser() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return newest_;
}

int64_t Population::AnyPost(Random& random) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return posts_[static_cast<size_t>(Between(random, 0, static_cast<int64_t>(posts_.size()) - 1))];
}

int64_t Population::HotPost(Random& random) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return hot_[static_cast<size_t>(Between(random, 0, static_cast<int64_t>(hot_.size()) - 1))];
}

Population::Like Population::RecentLike(Random& random) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return likes_[static_cast<size_t>(Between(random, 0, static_cast<int64_t>(likes_.size()) - 1))];
}

void Population::PutLike(Random& random, Like like) {
  const std::lock_guard<std::mutex> lock(mutex_);
  likes_[static_cast<size_t>(Between(random, 0, static_cast<int64_t>(likes_.size()) - 1))] = like;
}

void Population::DropLike(Like like) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (Like& recent : likes_) {
    if (recent.post == like.post && recent.user == like.user) recent = {};
  }
}

Population::Place Population::PickPlace(Random& random) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto index = static_cast<size_t>(Between(random, 0, static_cast<int64_t>(users_.size()) - 1));
  return {index, users_[index].deleted ? 0 : users_[index].user};
}

void Population::PutUser(size_t index, int64_t user) {
  const std::lock_guard<std::mutex> lock(mutex_);
  users_[index] = {user, false};
  newest_ = user;
}

void Population::MarkDeleted(int64_t user) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (Slot& slot : users_) slot.deleted = slot.deleted || slot.user == user;
}

void Population::PutPost(Random& random, int64_t post) {
  const std::lock_guard<std::mutex> lock(mutex_);
  posts_[static_cast<size_t>(Between(random, 0, static_cast<int64_t>(posts_.size()) - 1))] = post;
  const auto cold = std::find(hot_.begin(), hot_.end(), 0);
  if (cold != hot_.end()) *cold = post;
}

void Population::DropPost(int64_t post) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::replace(posts_.begin(), posts_.end(), post, int64_t{0});
  std::replace(hot_.begin(), hot_.end(), post, int64_t{0});
}

}  // namespace crosskey::testing
