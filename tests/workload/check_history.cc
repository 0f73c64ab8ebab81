// What single calls were answered, held against everything else that is known.
#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/workload/checker.h"
#include "tests/workload/facts.h"
#include "tests/workload/final_checks.h"

namespace crosskey::testing {
namespace {

class HistoryCheck {
 public:
  HistoryCheck(const Snapshot& before, const History& history, const Snapshot& after, bool faults)
      : before_(before), history_(history), after_(after), faults_(faults), facts_(before, history) {}

  std::vector<Violation> Run() {
    for (const Entry& entry : history_) {
      if (!IsDocumented(entry.op, entry.code, entry.reason, faults_)) Report(Broken::kUndocumented, entry, "");
      if (entry.outcome == Outcome::kOk) {
        CheckAccepted(entry);
      } else if (entry.outcome == Outcome::kFailed) {
        CheckRefused(entry);
      }
    }
    CheckFinalPosts(facts_, after_, violations_);
    CheckFinalUsers(facts_, after_, violations_);
    CheckDeletions(before_, history_, after_, violations_);
    return std::move(violations_);
  }

 private:
  void Report(Broken what, const Entry& entry, const std::string& why) {
    violations_.push_back({what, absl::StrCat(why, why.empty() ? "" : ": ", ToString(entry))});
  }

  void CheckAccepted(const Entry& entry) {
    switch (entry.op) {
      case Op::kCreateUser:
        CheckNewUser(entry);
        break;
      case Op::kCreatePost:
      case Op::kBatchCreatePosts:
        for (const Row& row : entry.rows) {
          if (row.id <= before_.last_post || !new_posts_.insert(row.id).second) {
            Report(Broken::kIdReused, entry, absl::StrCat("post ", row.id));
          }
        }
        break;
      case Op::kDeletePost:
        CheckDeletedPost(entry);
        break;
      case Op::kDeleteUser:
        CheckRestrict(entry);
        break;
      case Op::kListPosts:
        CheckList(entry);
        break;
      case Op::kGetUser:
        CheckUserShown(entry);
        break;
      default:
        break;
    }
    for (const Row& row : entry.rows) CheckShown(entry, row);
  }

  void CheckNewUser(const Entry& entry) {
    const bool known_uid = std::any_of(before_.users.begin(), before_.users.end(),
                                       [&](const auto& user) { return user.second == entry.uid; });
    const bool new_uid = new_uids_.insert(entry.uid).second;
    if (entry.user <= before_.last_user || !new_users_.insert(entry.user).second || known_uid || !new_uid) {
      Report(Broken::kIdReused, entry, absl::StrCat("user ", entry.user));
    }
  }

  void CheckUserShown(const Entry& entry) {
    const UserFacts* user = facts_.FindUser(entry.user);
    if (user == nullptr) return;
    if (entry.begin > user->dropped) Report(Broken::kUserCameBack, entry, "the user had been deleted");
    if (user->known && entry.uid != user->uid) Report(Broken::kIdReused, entry, "the user's uid was " + user->uid);
  }

  // A post in an answer, of a read as of a write.
  void CheckShown(const Entry& entry, const Row& row) {
    if (const UserFacts* user = facts_.FindUser(row.user); user != nullptr) {
      if (entry.begin > user->released || (IsWrite(entry.op) && entry.begin > user->vanished)) {
        Report(IsWrite(entry.op) ? Broken::kWriteAfterDelete : Broken::kReadAfterDelete, entry,
               absl::StrCat("the posts of user ", row.user, " had gone"));
      } else if (entry.begin > user->vanished) {
        Report(Broken::kPartial, entry, absl::StrCat("another post of user ", row.user, " had gone"));
      }
    }
    const PostFacts* post = facts_.FindPost(row.id);
    if (post == nullptr) return;
    if (entry.begin > post->deleted) Report(Broken::kDeletedPostShown, entry, absl::StrCat("post ", row.id));
    if (!CouldBe(post->titles, row.title, entry.begin, entry.end)) {
      Report(Broken::kChangeLost, entry, absl::StrCat("title of post ", row.id));
    }
    if (!CouldBe(post->users, row.user, entry.begin, entry.end)) {
      Report(Broken::kChangeLost, entry, absl::StrCat("user of post ", row.id));
    }
  }

  void CheckDeletedPost(const Entry& entry) {
    const PostFacts* post = facts_.FindPost(entry.post);
    if (post == nullptr) return;
    if (entry.begin > post->deleted) Report(Broken::kDeletedPostShown, entry, "deleted twice");
    const UserFacts* user = facts_.FindUser(post->first_user);
    if (post->may_move > entry.end && user != nullptr && entry.begin > std::min(user->released, user->vanished)) {
      Report(Broken::kWriteAfterDelete, entry, absl::StrCat("the posts of user ", post->first_user, " had gone"));
    }
  }

  // Every accepted post was there before the release: otherwise it would have been refused. So it does not matter when.
  void CheckRestrict(const Entry& entry) {
    if (entry.taken != ::relation::v1::REFERENTIAL_ACTION_RESTRICT) return;
    const UserFacts* user = facts_.FindUser(entry.user);
    if (user == nullptr) return;
    for (const int64_t id : user->posts) {
      if (Facts::IsCertain(*facts_.FindPost(id), kNever, entry.end)) {
        Report(Broken::kRestrictTookPost, entry, absl::StrCat("post ", id));
        return;
      }
    }
  }

  void CheckList(const Entry& entry) {
    const UserFacts* user = facts_.FindUser(entry.user);
    if (user == nullptr || !entry.whole_list) return;
    std::set<int64_t> shown;
    for (const Row& row : entry.rows) shown.insert(row.id);
    for (const int64_t id : user->posts) {
      if (shown.count(id) > 0 || !Facts::IsCertain(*facts_.FindPost(id), entry.begin, entry.end)) continue;
      if (user->may_delete > entry.end) {
        Report(Broken::kPostLost, entry, absl::StrCat("post ", id));
      } else if (!shown.empty()) {
        Report(Broken::kPartial, entry, absl::StrCat("without post ", id));
      }
      return;  // one is enough for a list
    }
  }

  void CheckRefused(const Entry& entry) {
    if (entry.op == Op::kGetPost && entry.reason == "POST_NOT_FOUND") {
      const PostFacts* post = facts_.FindPost(entry.post);
      if (post == nullptr || post->created >= entry.begin || post->may_delete < entry.end) return;
      const bool explained = std::any_of(post->users.begin(), post->users.end(), [&](const Change& change) {
        const UserFacts* user = facts_.FindUser(change.value);
        return change.begin < entry.end && user != nullptr && user->may_delete < entry.end;
      });
      if (!explained) Report(Broken::kPostLost, entry, "");
    }
    const UserFacts* user = facts_.FindUser(entry.user);
    if (user == nullptr || !user->known || user->created >= entry.begin) return;
    if (entry.op == Op::kGetUser && entry.reason == "USER_NOT_FOUND" && user->may_delete > entry.end) {
      Report(Broken::kUserLost, entry, "");
    }
    if (entry.op == Op::kCreatePost && ((entry.reason == "FOREIGN_KEY_VIOLATION" && user->may_delete > entry.end) ||
                                        (entry.reason == "PARENT_DELETING" && user->may_try > entry.end))) {
      Report(Broken::kFalseRefusal, entry, "");
    }
  }

  const Snapshot& before_;
  const History& history_;
  const Snapshot& after_;
  const bool faults_;
  const Facts facts_;
  std::set<int64_t> new_users_;
  std::set<int64_t> new_posts_;
  std::set<std::string> new_uids_;
  std::vector<Violation> violations_;
};

}  // namespace

std::vector<Violation> CheckHistory(const Snapshot& before, const History& history, const Snapshot& after,
                                    bool faults) {
  return HistoryCheck(before, history, after, faults).Run();
}

const char* NameOf(Broken broken) {
  static constexpr const char* kNames[] = {
      "an undocumented error",
      "a reference refused without reason",
      "I1: an orphan",
      "I2: an acknowledged post is lost",
      "I2: an acknowledged user is lost",
      "I2: an acknowledged change is lost",
      "I2: a deleted post is shown",
      "I3: RESTRICT deleted a user that had a post",
      "I4: a write accepted after the deletion",
      "I4: a post shown after the deletion",
      "I4: some posts gone and others not",
      "I5: a deleted user came back",
      "I5: an id or uid given twice",
      "a deletion that does not end, or is another",
      "I6: events lost, doubled or wrong",
  };
  return kNames[static_cast<int>(broken)];
}

}  // namespace crosskey::testing
