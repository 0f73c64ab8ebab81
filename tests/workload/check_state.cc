// What must hold in the databases themselves once nothing is going on.
#include <unordered_map>

#include "absl/strings/str_cat.h"
#include "tests/workload/checker.h"

namespace crosskey::testing {
namespace {

void CheckLikesAndPins(const Snapshot& after, std::vector<Violation>& violations) {
  const auto report = [&violations](Broken what, const std::string& text) { violations.push_back({what, text}); };
  std::unordered_map<int64_t, int64_t> counts;
  for (const auto& [post, user] : after.likes) {
    ++counts[post];
    if (after.posts.count(post) > 0 && after.users.count(user) > 0) continue;
    report(Broken::kOrphan, absl::StrCat("like of post ", post, " by user ", user));
  }
  std::unordered_map<int64_t, int64_t> titles;
  for (const auto& [id, post] : after.posts) {
    if (post.likes != counts[id]) {
      report(Broken::kCount, absl::StrCat("post ", id, " counts ", post.likes, " likes and has ", counts[id]));
    }
    const auto [other, is_new] = titles.emplace(post.title, id);
    if (post.title != 0 && !is_new) {
      report(Broken::kRepeated, absl::StrCat("posts ", id, " and ", other->second, " have title t", post.title));
    }
  }
  std::unordered_map<int64_t, int64_t> pinned;
  for (const auto& [user, post] : after.pins) {
    const std::string text = absl::StrCat("pin of post ", post, " by user ", user);
    if (after.posts.count(post) == 0 || after.post_refs.count(post) == 0) report(Broken::kOrphan, text);
    const auto [other, is_new] = pinned.emplace(post, user);
    if (!is_new) report(Broken::kPinnedTwice, absl::StrCat(text, " and by user ", other->second));
  }
}

}  // namespace

std::vector<Violation> CheckState(const Snapshot& before, const Snapshot& after) {
  std::vector<Violation> violations;
  const auto report = [&violations](Broken what, const std::string& text) { violations.push_back({what, text}); };
  for (const auto& [id, post] : after.posts) {
    if (after.users.count(post.user) == 0) report(Broken::kOrphan, absl::StrCat("post ", id, " of user ", post.user));
    if (after.user_refs.count(post.user) == 0) report(Broken::kOrphan, absl::StrCat("post ", id, " is hidden"));
    if (id <= before.last_post && before.posts.count(id) == 0) {
      report(Broken::kIdReused, absl::StrCat("post ", id));
    }
  }
  CheckLikesAndPins(after, violations);
  // An ACTIVE reference row of a deleted user would take in posts for ever.
  for (const auto& [id, uid] : after.user_refs) {
    const auto user = after.users.find(id);
    if (user == after.users.end()) {
      report(Broken::kOrphan, absl::StrCat("reference row of user ", id));
    } else if (user->second != uid) {
      report(Broken::kIdReused, absl::StrCat("reference row of user ", id, " has uid ", uid));
    }
  }
  for (const int64_t id : after.post_refs) {
    if (after.posts.count(id) == 0) report(Broken::kOrphan, absl::StrCat("reference row of post ", id));
  }
  if (after.tombstones != 0) report(Broken::kOrphan, absl::StrCat(after.tombstones, " tombstones"));
  if (after.hidden_posts != 0) report(Broken::kOrphan, absl::StrCat(after.hidden_posts, " hidden posts"));
  for (const auto& [id, uid] : after.users) {
    if (id > before.last_user) continue;
    const auto known = before.users.find(id);
    if (known == before.users.end()) {
      report(Broken::kUserCameBack, absl::StrCat("user ", id));
    } else if (known->second != uid) {
      report(Broken::kIdReused, absl::StrCat("user ", id, " has another uid"));
    }
  }
  for (const auto& [id, deletion] : after.deletions) {
    const bool completed = deletion.state == user::v1::DELETION_STATE_COMPLETED;
    const std::string text = absl::StrCat("deletion ", id, " of user ", deletion.user);
    if (!completed && deletion.state != user::v1::DELETION_STATE_REFUSED) {
      report(Broken::kDeletion, text + " has not ended");
    }
    if (completed && after.users.count(deletion.user) > 0) report(Broken::kUserCameBack, text);
    if (completed && deletion.action == ::relation::v1::REFERENTIAL_ACTION_RESTRICT && deletion.posts > 0) {
      report(Broken::kRestrictTookPost, absl::StrCat(text, " took ", deletion.posts));
    }
  }
  return violations;
}

}  // namespace crosskey::testing
