// Compares the events of both feeds with the changes of the databases that they tell of.
#include <map>
#include <set>
#include <unordered_set>

#include "absl/strings/str_cat.h"
#include "tests/workload/checker.h"

namespace crosskey::testing {
namespace {

int64_t PinIn(const Snapshot& snapshot, int64_t user) {
  const auto found = snapshot.pins.find(user);
  return found == snapshot.pins.end() ? 0 : found->second;
}

class EventCheck {
 public:
  EventCheck(const Snapshot& before, const Snapshot& after) : before_(before), after_(after) {}

  // Looks for gaps, duplicates and a wrong head. Returns whether no event behind `from` has been trimmed.
  bool CheckSequences(const EventLog& log, int64_t from, int64_t head) {
    if (log.unnumbered != 0) Report(absl::StrCat(log.unnumbered, " events without a number"));
    std::unordered_set<std::string> ids;
    int64_t expected = log.events.empty() ? head + 1 : log.events.front().sequence;
    const bool whole = expected == from + 1;
    for (const LoggedEvent& event : log.events) {
      if (event.sequence != expected) Report(absl::StrCat("sequence ", event.sequence, " and not ", expected));
      expected = event.sequence + 1;
      if (!ids.insert(event.id).second) Report(absl::StrCat("event ", event.sequence, " has the id of another"));
    }
    if (expected != head + 1) Report(absl::StrCat("the log ends with ", expected - 1, ", its head is ", head));
    return whole;
  }

  // Applies the events to the state before, which has to give the state after.
  void AddUsers(const EventLog& log) {
    std::set<int64_t> users;
    std::map<int64_t, int64_t> updated;  // by user: how often
    for (const auto& [id, uid] : before_.users) users.insert(id);
    for (const LoggedEvent& event : log.events) {
      if (event.type == "user.v1.UserCreated" && !users.insert(event.user).second) Report("created twice", event);
      if (event.type == "user.v1.UserDeleted" && users.erase(event.user) == 0) Report("deleted twice", event);
      if (event.type != "user.v1.UserUpdated") continue;
      ++updated[event.user];
      if (users.count(event.user) == 0) Report("changed and not there", event);
      // The workload changes nothing of a user but its pin.
      if (event.paths != std::vector<std::string>{"pinned_post_id"}) Report("says what has not changed", event);
    }
    for (const auto& [id, uid] : after_.users) {
      if (users.erase(id) == 0) Report(absl::StrCat("no event of the creation of user ", id));
      // Each event is a change of the pin. A different pin needs at least one, and the same pin none or at least two.
      const bool same = PinIn(before_, id) == PinIn(after_, id);
      if (updated[id] == (same ? 1 : 0)) {
        Report(absl::StrCat(updated[id], " changes of user ", id, " with pins ", PinIn(before_, id), " and ",
                            PinIn(after_, id)));
      }
    }
    for (const int64_t id : users) Report(absl::StrCat("no event of the deletion of user ", id));
  }

  void AddPosts(const EventLog& log) {
    std::unordered_set<int64_t> posts;
    for (const auto& [id, row] : before_.posts) posts.insert(id);
    std::map<std::string, int64_t> reclaimed;  // by subject
    for (const LoggedEvent& event : log.events) {
      if (event.type == "post.v1.PostsDeleted") {
        for (const int64_t id : event.posts) {
          if (posts.erase(id) == 0) Report(absl::StrCat("post ", id, " deleted twice"), event);
        }
        reclaimed[event.subject] += static_cast<int64_t>(event.posts.size());
      } else if (event.type == "post.v1.PostCreated") {
        if (!posts.insert(event.posts.at(0)).second) Report("created twice", event);
      } else if (event.type == "post.v1.PostUpdated") {
        if (posts.count(event.posts.at(0)) == 0) Report("changed and not there", event);
      } else if (event.type == "post.v1.UserPostsReclaimed" && reclaimed[event.subject] != event.count) {
        Report(absl::StrCat(reclaimed[event.subject], " posts deleted, not ", event.count), event);
      }
    }
    for (const auto& [id, row] : after_.posts) {
      if (posts.erase(id) == 0) Report(absl::StrCat("no event of the creation of post ", id));
    }
    for (const int64_t id : posts) Report(absl::StrCat("no event of the deletion of post ", id));
  }

  // Every completed deletion has exactly one event of `type`, and no other deletion has one. `whole`: the log has not
  // been trimmed, so a missing event is a violation.
  void CheckDeletions(const EventLog& log, const std::string& type, bool whole) {
    std::map<int64_t, int64_t> users;
    for (const LoggedEvent& event : log.events) {
      if (event.type != type) continue;
      if (!users.emplace(event.deletion_id, event.user).second) Report("a second event of the deletion", event);
      const auto deletion = after_.deletions.find(event.deletion_id);
      if (deletion == after_.deletions.end() || deletion->second.user != event.user ||
          deletion->second.state != user::v1::DELETION_STATE_COMPLETED) {
        Report("no such completed deletion", event);
      } else if (type == "post.v1.UserPostsReclaimed" && deletion->second.posts != event.count) {
        Report(absl::StrCat("the deletion has ", deletion->second.posts, " posts, the event ", event.count), event);
      } else if (type == "post.v1.UserPostsReclaimed" && deletion->second.likes != event.likes) {
        Report(absl::StrCat("the deletion has ", deletion->second.likes, " likes, the event ", event.likes), event);
      }
    }
    for (const auto& [id, deletion] : after_.deletions) {
      if (whole && deletion.state == user::v1::DELETION_STATE_COMPLETED && users.count(id) == 0) {
        Report(absl::StrCat("no ", type, " of deletion ", id));
      }
    }
  }

  std::vector<Violation> violations;

 private:
  void Report(const std::string& text) { violations.push_back({Broken::kEvents, text}); }
  void Report(const std::string& text, const LoggedEvent& event) {
    Report(
        absl::StrCat(text, ": ", event.sequence, " ", event.type, " ", event.subject, " deletion ", event.deletion_id));
  }

  const Snapshot& before_;
  const Snapshot& after_;
};

}  // namespace

std::vector<Violation> CheckEvents(const Snapshot& before, const Snapshot& after, const EventLog& users,
                                   const EventLog& posts) {
  EventCheck check(before, after);
  const bool all_users = check.CheckSequences(users, before.user_head, after.user_head);
  const bool all_posts = check.CheckSequences(posts, before.post_head, after.post_head);
  if (all_users) check.AddUsers(users);
  if (all_posts) check.AddPosts(posts);
  check.CheckDeletions(users, "user.v1.UserDeleted", all_users);
  check.CheckDeletions(posts, "post.v1.UserPostsReclaimed", all_posts);
  return std::move(check.violations);
}

}  // namespace crosskey::testing
