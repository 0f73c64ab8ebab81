// Compares what each single call was answered with everything else that is known.
#include <algorithm>
#include <set>
#include <unordered_map>

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
    for (const auto& [id, row] : before_.posts) titles_[row.title] = id;
    for (const Entry& entry : history_) {
      if (!IsDocumented(entry.op, entry.code, entry.reason, faults_)) Report(Broken::kUndocumented, entry, "");
      if (!entry.another_answer.empty()) Report(Broken::kRepeated, entry, "");
      if (entry.outcome == Outcome::kOk) {
        CheckAccepted(entry);
      } else if (entry.outcome == Outcome::kFailed) {
        CheckRefused(entry);
      }
    }
    CheckFinalPosts(facts_, after_, violations_);
    CheckFinalUsers(facts_, after_, violations_);
    CheckFinalLikes(facts_, after_, violations_);
    CheckFinalPins(facts_, after_, violations_);
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
      case Op::kPinPost:
      case Op::kUnpinPost:
        CheckUserShown(entry);
        CheckPinShown(entry);
        break;
      case Op::kLikePost:
        CheckNotGone(entry, entry.user);
        CheckLikedPost(entry);
        break;
      case Op::kListPostLikes:
        CheckLikedPost(entry);
        CheckLikers(entry);
        break;
      case Op::kListLikedPosts:
        CheckLikedPosts(entry);
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

  // The answer of a read or a write contains something of this user: a post or a like. All of that vanishes at one
  // instant, so the call must not have begun after it.
  void CheckNotGone(const Entry& entry, int64_t id) {
    const UserFacts* user = facts_.FindUser(id);
    if (user == nullptr) return;
    if (entry.begin > user->released || (IsWrite(entry.op) && entry.begin > user->vanished)) {
      Report(IsWrite(entry.op) ? Broken::kWriteAfterDelete : Broken::kReadAfterDelete, entry,
             absl::StrCat("the posts and likes of user ", id, " had gone"));
    } else if (entry.begin > user->vanished) {
      Report(Broken::kPartial, entry, absl::StrCat("a post of user ", id, " had gone"));
    }
  }

  // Checks a post that an answer contains.
  void CheckShown(const Entry& entry, const Row& row) {
    CheckNotGone(entry, row.user);
    // Each title is sent by one request only. So two posts that have had it were created by the same request.
    const auto [other, is_new] = titles_.emplace(row.title, row.id);
    if (row.title != 0 && !is_new && other->second != row.id) {
      Report(Broken::kRepeated, entry, absl::StrCat("t", row.title, " was given to post ", other->second));
    }
    CheckCount(entry, row);
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

  // A post that was accepted at any time was there before the release, because afterwards it would have been refused.
  // So the time of the posts does not matter here.
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
    if ((entry.op == Op::kGetPost || entry.op == Op::kListPostLikes) && entry.reason == "POST_NOT_FOUND") {
      if (IsThere(entry)) Report(Broken::kPostLost, entry, "");
    }
    if (entry.op == Op::kPinPost) CheckRefusedPin(entry);
    const UserFacts* user = facts_.FindUser(entry.user);
    if (user == nullptr || !user->known || user->created >= entry.begin) return;
    const bool is_pin = entry.op == Op::kPinPost || entry.op == Op::kUnpinPost;
    if ((entry.op == Op::kGetUser || is_pin) && entry.reason == "USER_NOT_FOUND" && user->may_delete > entry.end) {
      Report(Broken::kUserLost, entry, "");
    }
    const bool missing = entry.reason == "FOREIGN_KEY_VIOLATION" && user->may_delete > entry.end;
    const bool deleting = entry.reason == "PARENT_DELETING" && user->may_try > entry.end;
    if ((entry.op == Op::kCreatePost && (missing || deleting)) || (is_pin && deleting) ||
        (entry.op == Op::kLikePost && IsThere(entry) && (missing || deleting))) {
      Report(Broken::kFalseRefusal, entry, "");
    }
  }

  // Whether the post that the entry names was certainly there for the whole time of the call.
  bool IsThere(const Entry& entry) const {
    const PostFacts* post = facts_.FindPost(entry.post);
    return post != nullptr && post->created < entry.begin && !facts_.MayBeGone(*post, entry.end);
  }

  void CheckRefusedPin(const Entry& entry) {
    if (entry.reason == "FOREIGN_KEY_VIOLATION" && IsThere(entry)) Report(Broken::kFalseRefusal, entry, "");
    if (entry.reason != "ALREADY_PINNED") return;
    const auto pinners = facts_.pinners.find(entry.post);
    const bool explained =
        pinners != facts_.pinners.end() &&
        std::any_of(pinners->second.begin(), pinners->second.end(), [&](int64_t user) {
          return user != entry.user && CouldBe(facts_.pins.at(user), entry.post, entry.begin, entry.end);
        });
    if (!explained) Report(Broken::kFalseRefusal, entry, "nobody had pinned it");
  }

  // Checks the pin of a user that was read, or whose pin was changed.
  void CheckPinShown(const Entry& entry) {
    if (entry.op == Op::kPinPost && entry.pin != entry.post) Report(Broken::kPinLost, entry, "not as asked");
    if (entry.op == Op::kUnpinPost && entry.pin != 0) Report(Broken::kPinLost, entry, "not as asked");
    const std::vector<Change>& changes = facts_.PinsOf(entry.user);
    const bool cleared = entry.pin == 0 && std::any_of(changes.begin(), changes.end(), [&](const Change& change) {
                           const PostFacts* post = facts_.FindPost(change.value);
                           return CouldBe(changes, change.value, entry.begin, entry.end) &&
                                  (post == nullptr || facts_.MayBeGone(*post, entry.end));
                         });
    if (!cleared && !CouldBe(changes, entry.pin, entry.begin, entry.end)) Report(Broken::kPinLost, entry, "");
  }

  // Checks the post of an accepted like, or of a list of likes.
  void CheckLikedPost(const Entry& entry) {
    const PostFacts* post = facts_.FindPost(entry.post);
    if (post == nullptr) return;
    if (entry.begin > post->deleted) Report(Broken::kDeletedPostShown, entry, "");
    if (post->may_move > entry.end) CheckNotGone(entry, post->first_user);
  }

  // Checks a like against a list: `shown`, or missing from a list that has no next page.
  void CheckLike(const Entry& entry, int64_t post_id, int64_t user_id, bool shown) {
    const std::vector<Change>& changes = facts_.LikesOf(post_id, user_id);
    const PostFacts* post = facts_.FindPost(post_id);
    if (shown) {
      CheckNotGone(entry, user_id);
      if (!CouldBe(changes, 1, entry.begin, entry.end)) {
        Report(Broken::kLikeLost, entry, absl::StrCat("user ", user_id, " did not like post ", post_id));
      }
    } else if (!CouldBe(changes, 0, entry.begin, entry.end) && post != nullptr && !facts_.MayBeGone(*post, entry.end) &&
               !facts_.MayBeGone(facts_.FindUser(user_id), entry.end)) {
      Report(Broken::kLikeLost, entry, absl::StrCat("user ", user_id, " likes post ", post_id));
    }
  }

  void CheckLikers(const Entry& entry) {
    const std::set<int64_t> shown(entry.likers.begin(), entry.likers.end());
    for (const int64_t user : shown) CheckLike(entry, entry.post, user, true);
    const auto likes = facts_.likes.find(entry.post);
    if (!entry.whole_list || likes == facts_.likes.end()) return;
    for (const auto& [user, changes] : likes->second) {
      if (shown.count(user) == 0) CheckLike(entry, entry.post, user, false);
    }
  }

  void CheckLikedPosts(const Entry& entry) {
    std::set<int64_t> shown;
    for (const Row& row : entry.rows) shown.insert(row.id);
    for (const int64_t post : shown) CheckLike(entry, post, entry.user, true);
    const auto likes = facts_.liked.find(entry.user);
    if (!entry.whole_list || likes == facts_.liked.end()) return;
    for (const int64_t post : likes->second) {
      if (shown.count(post) == 0) CheckLike(entry, post, entry.user, false);
    }
  }

  // The like_count of a post must be at least the number of its certain likes, and at most that of its possible likes.
  void CheckCount(const Entry& entry, const Row& row) {
    int64_t least = 0;
    int64_t most = 0;
    if (const auto likes = facts_.likes.find(row.id); likes != facts_.likes.end()) {
      for (const auto& [id, changes] : likes->second) {
        const UserFacts* user = facts_.FindUser(id);
        if (user != nullptr && entry.begin > user->released) continue;
        if (CouldBe(changes, 1, entry.begin, entry.end)) ++most;
        if (!CouldBe(changes, 0, entry.begin, entry.end) && !facts_.MayBeGone(user, entry.end)) ++least;
      }
    }
    if (row.likes < least || row.likes > most) {
      Report(Broken::kCount, entry, absl::StrCat("post ", row.id, " has ", least, " to ", most, " likes"));
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
  std::unordered_map<int64_t, int64_t> titles_;  // by title: the post that was seen to have it
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
      "I2: an acknowledged like, or its end, is lost",
      "I2: an acknowledged pin, or its end, is lost",
      "a post is pinned twice",
      "a post counts its likes wrong",
      "I3: RESTRICT deleted a user that had a post",
      "I4: a write accepted after the deletion",
      "I4: a post shown after the deletion",
      "I4: some posts gone and others not",
      "I5: a deleted user came back",
      "I5: an id or uid given twice",
      "a deletion that does not end, or is another",
      "I6: events lost, doubled or wrong",
      "I7: a repeated write is not the same write",
  };
  return kNames[static_cast<int>(broken)];
}

}  // namespace crosskey::testing
