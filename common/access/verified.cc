#include "common/access/verified.h"

#include <utility>

namespace crosskey::access {

std::optional<Verified::Entry> Verified::Find(const Digest& digest) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = new_.find(digest);
  if (found != new_.end()) return found->second;
  const auto old = old_.find(digest);
  if (old == old_.end()) return std::nullopt;
  Entry entry = std::move(old->second);
  old_.erase(old);
  Insert(digest, entry);
  return entry;
}

void Verified::Keep(const Digest& digest, Entry entry) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Insert(digest, std::move(entry));
}

void Verified::Insert(const Digest& digest, Entry entry) {
  if (new_.size() >= kVerifiedTokens / 2) {
    old_ = std::move(new_);
    new_.clear();
  }
  new_[digest] = std::move(entry);
}

}  // namespace crosskey::access
