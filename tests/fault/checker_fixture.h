// A state with two users, and the means to write down by hand what happened to it.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/workload/checker.h"

namespace crosskey::testing {

inline constexpr int64_t kAda = 1;
inline constexpr int64_t kBob = 2;

// Before each history there are the users ada, with the post 11 and its title 101, and bob, with the post 12 and its
// title 102.
class CheckerTest : public ::testing::Test {
 protected:
  CheckerTest() {
    before.users = before.user_refs = {{kAda, "uid-ada"}, {kBob, "uid-bob"}};
    before.posts = {{11, {11, kAda, 101}}, {12, {12, kBob, 102}}};
    before.last_user = 2;
    before.last_post = 12;
    before.last_deletion = 5;
    after = before;
    history.reserve(16);  // Call returns references into it
  }

  // A call that takes from `begin` to `begin` + 5.
  Entry& Call(Op op, int64_t begin, int64_t user, int64_t post = 0) {
    Entry& entry = history.emplace_back();
    entry.op = op;
    entry.begin = begin;
    entry.end = begin + 5;
    entry.user = user;
    entry.post = post;
    return entry;
  }
  Entry& Create(int64_t begin, int64_t user, int64_t post, int64_t title) {
    Entry& entry = Call(Op::kCreatePost, begin, user);
    entry.rows = {{post, user, title}};
    return entry;
  }
  Entry& Delete(int64_t begin, int64_t user,
                ::relation::v1::ReferentialAction action = ::relation::v1::REFERENTIAL_ACTION_CASCADE,
                user::v1::DeletionState state = user::v1::DELETION_STATE_RECLAIMING) {
    Entry& entry = Call(Op::kDeleteUser, begin, user);
    entry.action = entry.taken = action;
    entry.deletion_id = 6;
    entry.state = state;
    return entry;
  }
  static void Fail(Entry& entry, grpc::StatusCode code, const std::string& reason) {
    entry.outcome = OutcomeOf(entry.op, code, reason);
    entry.code = code;
    entry.reason = reason;
    entry.rows.clear();
    entry.deletion_id = 0;
    entry.taken = ::relation::v1::REFERENTIAL_ACTION_UNSPECIFIED;
    entry.state = user::v1::DELETION_STATE_UNSPECIFIED;
  }
  Entry& Like(int64_t begin, int64_t user, int64_t post) { return Call(Op::kLikePost, begin, user, post); }
  Entry& Unlike(int64_t begin, int64_t user, int64_t post) { return Call(Op::kUnlikePost, begin, user, post); }
  // `post` 0: takes the pin away.
  Entry& Pin(int64_t begin, int64_t user, int64_t post) {
    Entry& entry = Call(post == 0 ? Op::kUnpinPost : Op::kPinPost, begin, user, post);
    entry.uid = before.users[user];
    entry.pin = post;
    return entry;
  }
  static void Lose(Entry& entry) { Fail(entry, grpc::StatusCode::UNAVAILABLE, ""); }

  // Gives `after` what the databases have after the deletion of this user.
  void Gone(int64_t user, ::relation::v1::ReferentialAction action = ::relation::v1::REFERENTIAL_ACTION_CASCADE,
            int64_t posts = 1) {
    after.users.erase(user);
    after.user_refs.erase(user);
    after.posts.erase(10 + user);
    after.deletions[6] = {user, action, user::v1::DELETION_STATE_COMPLETED, posts};
    after.last_deletion = 6;
  }

  // These change what a database has.
  static void Store(Snapshot& snapshot, int64_t post, int64_t user) {
    if (snapshot.likes.emplace(post, user).second) ++snapshot.posts[post].likes;
  }
  static void Unstore(Snapshot& snapshot, int64_t post, int64_t user) {
    if (snapshot.likes.erase({post, user}) > 0) --snapshot.posts[post].likes;
  }
  static void StorePin(Snapshot& snapshot, int64_t user, int64_t post) {
    snapshot.pins[user] = post;
    snapshot.post_refs.insert(post);
  }

  std::vector<Broken> Found(bool faults = true) {
    std::vector<Broken> found;
    for (const auto& violations : {CheckHistory(before, history, after, faults), CheckState(before, after)}) {
      for (const Violation& violation : violations) found.push_back(violation.what);
    }
    return found;
  }

  Snapshot before;
  Snapshot after;
  History history;
};

}  // namespace crosskey::testing
