// What a history says about each user and each post. Times are those of the history; kNever: it has not happened.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/workload/history.h"
#include "tests/workload/snapshot.h"

namespace crosskey::testing {

// A value written to a field. `end` is kNever if the outcome is unknown.
struct Change {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t value = 0;
};

struct PostFacts {
  int64_t created = 0;  // it exists from then on at the latest
  int64_t first_user = 0;
  std::vector<Change> users;  // the first included
  std::vector<Change> titles;
  int64_t may_move = kNever;    // from then on it may belong to another user
  int64_t may_delete = kNever;  // from then on its own deletion may have taken effect
  int64_t deleted = kNever;     // by then its own deletion has taken effect
};

struct UserFacts {
  bool known = false;   // existed before, or its creation was acknowledged
  int64_t created = 0;  // it exists from then on at the latest
  std::string uid;
  int64_t may_try = kNever;     // from then on a deletion may have been begun, if only to be refused
  int64_t may_delete = kNever;  // from then on a deletion may have taken effect
  int64_t dropped = kNever;     // by then the user no longer exists
  int64_t released = kNever;    // by then its posts have gone: a deletion said so
  int64_t vanished = kNever;    // by then its posts have gone: one of them was missing
  std::vector<int64_t> posts;   // known posts whose first user this is
};

struct Facts {
  Facts(const Snapshot& before, const History& history);

  // Null: nothing is known of it. A post is known from the state before or from an acknowledged creation, a user also
  // from calls that only try to delete it.
  const PostFacts* FindPost(int64_t id) const;
  const UserFacts* FindUser(int64_t id) const;
  // Whether the post existed before `since`, and was neither moved nor deleted by itself until `until`. What became of
  // its user is left aside.
  static bool IsCertain(const PostFacts& post, int64_t since, int64_t until);
  // Whether a deletion of the post, or of a user that it may have had, can have taken effect by `until`.
  bool MayBeGone(const PostFacts& post, int64_t until) const;
  bool MayBeGone(const UserFacts* user, int64_t until) const { return user != nullptr && user->may_delete < until; }
  // The changes of a like or a pin. If nobody has ever changed it, it is 0: not liked, no pin.
  const std::vector<Change>& LikesOf(int64_t post, int64_t user) const;
  const std::vector<Change>& PinsOf(int64_t user) const;

  std::unordered_map<int64_t, PostFacts> posts;
  std::unordered_map<int64_t, UserFacts> users;
  // A like is treated as a field of its post and its user: 1 or 0. A deletion of either is not a change of the field
  // but takes it away.
  std::unordered_map<int64_t, std::map<int64_t, std::vector<Change>>> likes;  // by post and user
  std::unordered_map<int64_t, std::set<int64_t>> liked;                       // by user: the posts in `likes`
  std::unordered_map<int64_t, std::vector<Change>> pins;                      // by user: the post, or 0
  std::unordered_map<int64_t, std::set<int64_t>> pinners;                     // by post: who may ever have pinned it

 private:
  void AddCreated(const Entry& entry);
  void AddChange(const Entry& entry);
  void AddDeletion(const Entry& entry);
  void AddAbsence(const Entry& entry);
  void AddLike(const Entry& entry);
  void AddPin(const Entry& entry);
};

}  // namespace crosskey::testing
