// Things that cost something to make, kept by name. The ones that were used last stay.
#pragma once

#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace crosskey::db {

template <typename Thing>
class Kept {
 public:
  explicit Kept(size_t limit) : limit_(limit) {}

  // Null: there is none of this name. Valid until the next call of Add or Clear.
  Thing* Find(std::string_view name) {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) return nullptr;
    things_.splice(things_.begin(), things_, found->second);
    return &things_.front().second;
  }

  // There must be none of this name yet. If there are too many, the one that was not used for the longest time goes.
  Thing* Add(std::string name, Thing thing) {
    if (things_.size() >= limit_) {
      by_name_.erase(things_.back().first);
      things_.pop_back();
    }
    things_.emplace_front(std::move(name), std::move(thing));
    by_name_.emplace(things_.front().first, things_.begin());
    return &things_.front().second;
  }

  void Clear() {
    by_name_.clear();
    things_.clear();
  }

  size_t size() const { return things_.size(); }

 private:
  using Things = std::list<std::pair<const std::string, Thing>>;

  const size_t limit_;
  Things things_;                                                            // the one used last is at the front
  std::unordered_map<std::string_view, typename Things::iterator> by_name_;  // the names are those in things_
};

}  // namespace crosskey::db
