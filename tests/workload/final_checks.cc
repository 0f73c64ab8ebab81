#include "tests/workload/final_checks.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"

namespace crosskey::testing {
namespace {

using ::relation::v1::REFERENTIAL_ACTION_CASCADE;
using ::relation::v1::REFERENTIAL_ACTION_UNSPECIFIED;

// How far a deletion has come.
int Rank(user::v1::DeletionState state) {
  switch (state) {
    case user::v1::DELETION_STATE_INTENT:
      return 1;
    case user::v1::DELETION_STATE_PENDING:
    case user::v1::DELETION_STATE_RECLAIMING:
      return 2;
    case user::v1::DELETION_STATE_REFUSED:
    case user::v1::DELETION_STATE_COMPLETED:
      return 3;
    default:
      return 0;
  }
}

// A deletion never goes back: a call that looked at it must show it at least as far as every call that had ended before
// this one began.
void CheckOrder(std::vector<const Entry*> looks, std::vector<Violation>& violations) {
  std::vector<const Entry*> by_end = looks;
  std::sort(looks.begin(), looks.end(), [](const Entry* a, const Entry* b) { return a->begin < b->begin; });
  std::sort(by_end.begin(), by_end.end(), [](const Entry* a, const Entry* b) { return a->end < b->end; });
  size_t next = 0;
  int reached = 0;
  for (const Entry* look : looks) {
    for (; next < by_end.size() && by_end[next]->end < look->begin; ++next) {
      reached = std::max(reached, Rank(by_end[next]->state));
    }
    if (Rank(look->state) < reached) violations.push_back({Broken::kDeletion, "went back: " + ToString(*look)});
  }
}

}  // namespace

bool CouldBe(const std::vector<Change>& changes, int64_t value, int64_t begin, int64_t end) {
  return std::any_of(changes.begin(), changes.end(), [&](const Change& change) {
    return change.value == value && change.begin < end &&
           std::none_of(changes.begin(), changes.end(),
                        [&](const Change& later) { return later.begin > change.end && later.end < begin; });
  });
}

void CheckFinalPosts(const Facts& facts, const Snapshot& after, std::vector<Violation>& violations) {
  for (const auto& [id, post] : facts.posts) {
    const auto found = after.posts.find(id);
    if (found == after.posts.end()) {
      const bool with_its_user = std::any_of(post.users.begin(), post.users.end(), [&after](const Change& change) {
        return after.users.count(change.value) == 0;
      });
      if (post.may_delete == kNever && !with_its_user) {
        violations.push_back({Broken::kPostLost, absl::StrCat("post ", id, " of user ", post.first_user)});
      }
      continue;
    }
    if (post.deleted != kNever)
      violations.push_back({Broken::kDeletedPostShown, absl::StrCat("post ", id, " is stored")});
    const Row& row = found->second;
    // Checked like a read after all calls. A change of unknown outcome ends at kNever, so it never replaces another
    // value.
    if (!CouldBe(post.titles, row.title, kNever, kNever)) {
      violations.push_back({Broken::kChangeLost, absl::StrCat("post ", id, " has title t", row.title)});
    }
    if (!CouldBe(post.users, row.user, kNever, kNever)) {
      violations.push_back({Broken::kChangeLost, absl::StrCat("post ", id, " has user ", row.user)});
    }
  }
}

void CheckFinalUsers(const Facts& facts, const Snapshot& after, std::vector<Violation>& violations) {
  for (const auto& [id, user] : facts.users) {
    const bool exists = after.users.count(id) > 0;
    if (exists && user.dropped != kNever) {
      violations.push_back({Broken::kUserCameBack, absl::StrCat("user ", id, " is stored")});
    }
    if (!exists && user.known && user.may_delete == kNever) {
      violations.push_back({Broken::kUserLost, absl::StrCat("user ", id)});
    }
  }
}

// Checks the likes whose post and user are both there. These two have never been deleted, whatever was tried, so no
// deletion explains a missing like.
void CheckFinalLikes(const Facts& facts, const Snapshot& after, std::vector<Violation>& violations) {
  const auto report = [&violations](int64_t post, int64_t user, const char* what) {
    violations.push_back({Broken::kLikeLost, absl::StrCat("the like of post ", post, " by user ", user, what)});
  };
  for (const auto& [post, users] : facts.likes) {
    if (after.posts.count(post) == 0) continue;
    for (const auto& [user, changes] : users) {
      if (after.users.count(user) == 0) continue;
      const bool stored = after.likes.count({post, user}) > 0;
      if (!CouldBe(changes, stored ? 1 : 0, kNever, kNever)) {
        report(post, user, stored ? " is stored" : " is not stored");
      }
    }
  }
  for (const auto& [post, user] : after.likes) {
    const auto known = facts.likes.find(post);
    if (known == facts.likes.end() || known->second.count(user) == 0) report(post, user, " was never given");
  }
}

void CheckFinalPins(const Facts& facts, const Snapshot& after, std::vector<Violation>& violations) {
  for (const auto& [user, uid] : after.users) {
    const auto found = after.pins.find(user);
    const int64_t pin = found == after.pins.end() ? 0 : found->second;
    const std::vector<Change>& changes = facts.PinsOf(user);
    const bool cleared =
        pin == 0 && std::any_of(changes.begin(), changes.end(), [&](const Change& change) {
          return after.posts.count(change.value) == 0 && CouldBe(changes, change.value, kNever, kNever);
        });
    if (!cleared && !CouldBe(changes, pin, kNever, kNever)) {
      violations.push_back({Broken::kPinLost, absl::StrCat("user ", user, " has pinned post ", pin)});
    }
  }
}

void CheckDeletions(const Snapshot& before, const History& history, const Snapshot& after,
                    std::vector<Violation>& violations) {
  std::map<int64_t, std::vector<const Entry*>> looks;
  for (const Entry& entry : history) {
    if (entry.outcome != Outcome::kOk || entry.deletion_id == 0) continue;
    looks[entry.deletion_id].push_back(&entry);
    if (entry.op == Op::kDeleteUser) {
      // A request without an action takes the declared one.
      const auto wanted = entry.action == REFERENTIAL_ACTION_UNSPECIFIED ? REFERENTIAL_ACTION_CASCADE : entry.action;
      if (entry.taken != wanted) violations.push_back({Broken::kDeletion, "another action: " + ToString(entry)});
    }
    const auto stored = after.deletions.find(entry.deletion_id);
    // The snapshot has only the deletions since the snapshot before. An earlier one had ended before the history began.
    if (stored == after.deletions.end()) continue;
    const Snapshot::Deletion& deletion = stored->second;
    const bool accepted = entry.op == Op::kDeleteUser || Rank(entry.state) == 2;
    if (deletion.user != entry.user || deletion.action != entry.taken ||
        (accepted && deletion.state != user::v1::DELETION_STATE_COMPLETED) ||
        (Rank(entry.state) == 3 && deletion.state != entry.state)) {
      violations.push_back({Broken::kDeletion, "stored otherwise: " + ToString(entry)});
    }
  }
  for (auto& [id, entries] : looks) {
    if (id > before.last_deletion && after.deletions.count(id) == 0) {
      violations.push_back({Broken::kDeletion, "not stored: " + ToString(*entries.front())});
    }
    CheckOrder(std::move(entries), violations);
  }
}

}  // namespace crosskey::testing
