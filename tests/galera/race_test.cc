// Races writes on one node against deletions on another. Both transactions are held before their COMMIT until the other
// one is there too: only what is committed at the same time can be a conflict that no lock has seen.
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/fault/calls.h"
#include "tests/galera/galera.h"
#include "tests/support/free_port.h"
#include "tests/support/integrity.h"
#include "tests/support/status_matchers.h"
#include "tests/workload/settings.h"

namespace crosskey::testing {
namespace {

using ::relation::v1::REFERENTIAL_ACTION_CASCADE;
using ::relation::v1::REFERENTIAL_ACTION_RESTRICT;
using ::relation::v1::ReferentialAction;

// What a write may answer while its parent is being deleted, or when it is gone.
const std::set<std::string> kRefusals = {"OK", "FOREIGN_KEY_VIOLATION", "PARENT_DELETING", "CONFLICT"};
const std::set<std::string> kDeletions = {"OK", "RESTRICTED", "CONFLICT"};

// Counts the rounds of a race, and notes what is wrong in which of them.
class RaceRounds {
 public:
  bool Next() { return ++round_ < RoundsOfRun(); }
  int round() const { return round_; }
  void Met(bool met) { met_ += met ? 1 : 0; }
  void Wrong(const std::string& what) { WrongIn(round_, what); }
  void WrongIn(int round, const std::string& what) {
    wrong_.insert(round);
    ++counts_[what];
  }
  void ExpectRight() const {
    std::printf("%d rounds, the transactions met in %d, %zu are wrong\n", round_, met_, wrong_.size());
    std::string text;
    for (const auto& [what, count] : counts_) absl::StrAppend(&text, count, " x ", what, "\n");
    EXPECT_EQ(wrong_.size(), 0u) << text;
    EXPECT_GT(met_, round_ / 2) << "the two transactions hardly ever met";
  }

 private:
  int round_ = -1;
  int met_ = 0;
  std::set<int> wrong_;
  std::map<std::string, int> counts_;
};

class GaleraRaceTest : public ::testing::Test {
 protected:
  GaleraRaceTest()
      : random_(SeedOfRun()),
        cluster_("galera", {2, false, {}}),
        writes_(cluster_, Side::kPosts, "guarded_write.before_commit"),
        releases_(cluster_, Side::kPosts, "release.before_commit"),
        pins_(cluster_, Side::kUsers, "guarded_write.before_commit"),
        consumers_(cluster_, Side::kUsers, "consumer.before_commit") {
    for (int replica = 0; replica < 2; ++replica) {
      cluster_.Start(Side::kUsers, replica, Both(pins_, consumers_), false);
      cluster_.Start(Side::kPosts, replica, Both(writes_, releases_), false);
    }
    cluster_.StartAll();  // waits until they serve
    cluster_.AwaitQuiet();
  }

  static std::vector<std::string> Both(const Barrier& one, const Barrier& other) {
    std::vector<std::string> flags = one.flags();
    for (const std::string& flag : other.flags()) flags.push_back(flag);
    return flags;
  }

  UserStub& users(int replica) { return cluster_.users(replica); }
  PostStub& posts(int replica) { return cluster_.posts(replica); }
  bool Chance(int percent) { return Between(random_, 1, 100) <= percent; }

  // In half of the rounds post-service has heard of the user before the race begins, in the others it may have to ask.
  int64_t CreateUser(int replica) {
    const int64_t user = testing::CreateUser(users(replica), absl::StrCat("user ", ++names_));
    if (Chance(50)) {
      EXPECT_TRUE(WaitFor([&] {
        return cluster_.post_db().Number(absl::StrCat("SELECT COUNT(*) FROM user_refs WHERE id = ", user)) == 1;
      }));
    }
    return user;
  }

  // The replica of user-service that consumes the events of the other service.
  int Consumer() {
    std::string holder;
    EXPECT_TRUE(WaitFor([&] {
      holder = cluster_.user_db().Query("SELECT holder FROM leases WHERE name = 'consumer'").front().front();
      return !holder.empty();
    }));
    return absl::EndsWith(holder, Loopback(cluster_.internal_port(Side::kUsers, 0))) ? 0 : 1;
  }

  // Deletes, and waits for the end of the deletion if the release did not arrive (PENDING).
  grpc::Status Delete(int replica, int64_t user, ReferentialAction action) {
    user::v1::UserDeletion deletion;
    const grpc::Status status = TryDelete(users(replica), user, action, &deletion);
    if (status.ok() && deletion.state() == user::v1::DELETION_STATE_PENDING) {
      AwaitDeletion(users(replica), user, user::v1::DELETION_STATE_COMPLETED);
    }
    return status;
  }

  // Whether the user is there, once it is decided.
  bool IsThere(int64_t user) {
    EXPECT_TRUE(WaitFor([&] {
      return cluster_.user_db().Number(
                 absl::StrCat("SELECT COUNT(*) FROM user_deletions WHERE state = 1 AND user_id = ", user)) == 0;
    }));
    return cluster_.user_db().Number(absl::StrCat("SELECT COUNT(*) FROM users WHERE id = ", user)) == 1;
  }

  // How many posts of the user each node has. All nodes have to agree.
  int64_t PostsOf(int64_t user, RaceRounds& rounds) {
    std::set<int64_t> counts;
    OnEveryNode(cluster_, [&](const TestDatabase&, const TestDatabase& posts) {
      counts.insert(posts.Number(absl::StrCat("SELECT COUNT(*) FROM posts WHERE user_id = ", user)));
    });
    if (counts.size() > 1) rounds.Wrong("the nodes have different posts");
    return *counts.begin();
  }

  bool Shows(int replica, int64_t user) {
    post::v1::ListPostsRequest request;
    request.set_user_id(user);
    post::v1::ListPostsResponse response;
    return posts(replica).ListPosts(ContextFor(kCallLimit).get(), request, &response).ok() && response.posts_size() > 0;
  }

  // Post 0: removes the pin.
  grpc::Status Pin(int replica, int64_t user, int64_t post) {
    user::v1::UpdateUserRequest request;
    request.mutable_user()->set_id(user);
    if (post != 0) request.mutable_user()->set_pinned_post_id(post);
    request.mutable_update_mask()->add_paths("pinned_post_id");
    user::v1::UpdateUserResponse response;
    return users(replica).UpdateUser(ContextFor(kCallLimit).get(), request, &response);
  }

  grpc::Status DeletePost(int replica, int64_t post) {
    post::v1::DeletePostRequest request;
    request.set_id(post);
    post::v1::DeletePostResponse response;
    return posts(replica).DeletePost(ContextFor(kCallLimit).get(), request, &response);
  }

  Random random_;
  Cluster cluster_;
  Barrier writes_;
  Barrier releases_;
  Barrier pins_;
  Barrier consumers_;
  int names_ = 0;
};

TEST_F(GaleraRaceTest, RestrictNeverDeletesAUserForWhomAPostIsCreated) {
  RaceRounds rounds;
  Outcomes creates;
  Outcomes deletions;
  while (rounds.Next()) {
    const int here = rounds.round() % 2;
    const int there = 1 - here;
    const int64_t user = CreateUser(here);
    grpc::Status created;
    grpc::Status deleted;
    rounds.Met(Race(random_, {[&] { created = TryCreatePost(posts(here), user); }, writes_, here},
                    {[&] { deleted = Delete(there, user, REFERENTIAL_ACTION_RESTRICT); }, releases_, there}));
    creates.Add(created);
    const std::string outcome = deletions.Add(deleted);
    const bool lives = IsThere(user);
    if (deleted.ok() && lives) rounds.Wrong("the user is there after its deletion");
    if (outcome == "RESTRICTED" && !lives) rounds.Wrong("the user is gone after a refusal");
    if (outcome == "RESTRICTED" && !created.ok()) rounds.Wrong("it was refused for a post that nobody has");
    if (!lives && created.ok()) rounds.Wrong("a post was accepted, and its user deleted by RESTRICT");
    const int64_t stored = PostsOf(user, rounds);
    if (stored != (lives && created.ok() ? 1 : 0)) rounds.Wrong(absl::StrCat(stored, " posts are stored"));
    for (const int replica : {0, 1}) {
      if (TryGetUser(users(replica), user).ok() != lives) rounds.Wrong("a replica tells of another user");
      if (Shows(replica, user) != (lives && created.ok())) rounds.Wrong("a replica shows other posts");
    }
  }
  std::printf("creates: %s\ndeletions: %s\n", creates.ToString().c_str(), deletions.ToString().c_str());
  EXPECT_EQ(creates.Except(kRefusals), "");
  EXPECT_EQ(deletions.Except(kDeletions), "");
  rounds.ExpectRight();
  ExpectWhole(cluster_);
}

TEST_F(GaleraRaceTest, AfterACascadeNobodySeesAPostAndNoneIsLeft) {
  RaceRounds rounds;
  Outcomes creates;
  Outcomes late;
  while (rounds.Next()) {
    const int here = rounds.round() % 2;
    const int there = 1 - here;
    const int64_t user = CreateUser(here);
    const std::vector<int64_t> first = CreatePosts(posts(here), user, 3);
    int64_t post = 0;
    grpc::Status created;
    const auto remove = [&] {
      EXPECT_THAT(Delete(there, user, REFERENTIAL_ACTION_CASCADE), GrpcOk());
      // At once: it is the first call after the answer that would see what another node has not heard of yet.
      if (Shows(here, user)) rounds.Wrong("another replica shows posts of a deleted user");
      if (TryGetPost(posts(here), first.front()).ok()) rounds.Wrong("another replica shows a post of a deleted user");
      if (TryGetUser(users(here), user).ok()) rounds.Wrong("another replica shows a deleted user");
      if (Shows(there, user)) rounds.Wrong("the same replica shows posts of a deleted user");
      for (const int replica : {here, there}) {
        const grpc::Status status = TryCreatePost(posts(replica), user);
        late.Add(status);
        if (status.ok()) rounds.Wrong("a post was accepted after the deletion");
      }
    };
    rounds.Met(Race(random_, {[&] { created = TryCreatePost(posts(here), user, &post); }, writes_, here},
                    {remove, releases_, there}));
    creates.Add(created);
    for (const int replica : {0, 1}) {
      if (created.ok() && TryGetPost(posts(replica), post).ok()) rounds.Wrong("a post has survived its user");
    }
  }
  std::printf("creates: %s\nafterwards: %s\n", creates.ToString().c_str(), late.ToString().c_str());
  EXPECT_EQ(creates.Except(kRefusals), "");
  EXPECT_EQ(late.Except(kRefusals), "");
  rounds.ExpectRight();
  ExpectWhole(cluster_);
  OnEveryNode(cluster_, [](const TestDatabase&, const TestDatabase& posts) {
    EXPECT_EQ(posts.Number("SELECT COUNT(*) FROM posts"), 0);
    EXPECT_EQ(posts.Number("SELECT COUNT(*) FROM user_refs"), 0);
  });
}

// A post whose move was accepted shares the fate of its new user. Any other stays with the old one.
TEST_F(GaleraRaceTest, APostThatMovesSharesTheFateOfItsNewUser) {
  RaceRounds rounds;
  Outcomes moves;
  Outcomes deletions;
  while (rounds.Next()) {
    const int here = rounds.round() % 2;
    const int there = 1 - here;
    const ReferentialAction action = rounds.round() % 4 < 2 ? REFERENTIAL_ACTION_RESTRICT : REFERENTIAL_ACTION_CASCADE;
    const int64_t from = CreateUser(here);
    const int64_t to = CreateUser(here);
    const int64_t post = CreatePosts(posts(here), from, 1).front();
    grpc::Status moved;
    grpc::Status deleted;
    rounds.Met(Race(random_, {[&] { moved = TryMovePost(posts(here), post, to); }, writes_, here},
                    {[&] { deleted = Delete(there, to, action); }, releases_, there}));
    moves.Add(moved);
    const std::string outcome = deletions.Add(deleted);
    const bool lives = IsThere(to);
    if (deleted.ok() == lives) rounds.Wrong(absl::StrCat("the deletion was ", outcome, ", and the user is ", lives));
    if (outcome == "RESTRICTED" && !moved.ok()) rounds.Wrong("it was refused for a post that nobody has moved");
    const bool restricts = action == REFERENTIAL_ACTION_RESTRICT;
    if (restricts && !lives && moved.ok()) rounds.Wrong("a move was accepted, and its user deleted by RESTRICT");
    for (const int replica : {0, 1}) {
      if (Shows(replica, from) == moved.ok()) rounds.Wrong("the old user has what it should not, or has lost it");
      if (Shows(replica, to) != (lives && moved.ok())) rounds.Wrong("the new user has other posts than it should");
    }
  }
  std::printf("moves: %s\ndeletions: %s\n", moves.ToString().c_str(), deletions.ToString().c_str());
  EXPECT_EQ(moves.Except(kRefusals), "");
  EXPECT_EQ(deletions.Except(kDeletions), "");
  rounds.ExpectRight();
  ExpectWhole(cluster_);
}

// The deletion of a post is an event, which one replica of user-service consumes while another one gives a user a pin.
TEST_F(GaleraRaceTest, NoPinPointsToADeletedPost) {
  RaceRounds rounds;
  Outcomes pins;
  const int64_t author = CreateUser(0);
  std::map<std::string, int> users_of;  // rounds
  std::map<std::string, int> posts_of;
  while (rounds.Next()) {
    const int there = Consumer();
    const int here = 1 - there;
    const int64_t user = testing::CreateUser(users(here), absl::StrCat("user ", ++names_));
    const int64_t post = CreatePosts(posts(here), author, 1).front();
    users_of[absl::StrCat(user)] = rounds.round();
    posts_of[absl::StrCat(post)] = rounds.round();
    // In half of the rounds user-service knows the post, in the others the pin adds its reference row.
    if (Chance(50)) {
      if (!Pin(there, user, post).ok()) rounds.Wrong("a post that is there cannot be pinned");
      EXPECT_THAT(Pin(there, user, 0), GrpcOk());
    }
    // So that what is consumed next is the deletion.
    EXPECT_TRUE(WaitFor([&] { return AllConsumed(cluster_.user_db(), cluster_.post_db()); }));
    grpc::Status pinned;
    const auto remove = [&] { EXPECT_THAT(DeletePost(there, post), GrpcOk()); };
    rounds.Met(
        Race(random_, {[&] { pinned = Pin(here, user, post); }, pins_, here}, {remove, consumers_, there, true}));
    pins.Add(pinned);
  }
  std::printf("pins: %s\n", pins.ToString().c_str());
  EXPECT_EQ(pins.Except(kRefusals), "");
  cluster_.AwaitQuiet();
  for (const auto& row : cluster_.user_db().Query("SELECT id FROM users WHERE pinned_post_id IS NOT NULL")) {
    rounds.WrongIn(users_of[row.front()], "a user pins a deleted post");
  }
  for (const auto& row : cluster_.user_db().Query("SELECT id FROM post_refs")) {
    rounds.WrongIn(posts_of[row.front()], "a deleted post can be pinned for ever");
  }
  rounds.ExpectRight();
  ExpectWhole(cluster_);
}

}  // namespace
}  // namespace crosskey::testing
