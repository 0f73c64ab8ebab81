// Tests what arrives long after it mattered: releases whose callers have given up, and processes that were paused.
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "relation/v1/reference_service.grpc.pb.h"
#include "tests/support/cluster.h"
#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using post::v1::PostService;
using ::relation::v1::ReferenceService;
using ::relation::v1::REFERENTIAL_ACTION_RESTRICT;
using ::relation::v1::ReleaseReferencedRequest;
using user::v1::UserService;

class LateTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(LateTest);

// The release that user-service would send now for the next deletion of the user. A test keeps it and sends it later,
// when it is old.
ReleaseReferencedRequest ReleaseOf(Pair& pair, int64_t user_id, int64_t deletion_id) {
  user::v1::User user;
  EXPECT_THAT(pair.TryGetUser(user_id, &user), GrpcOk());
  ReleaseReferencedRequest request;
  request.set_type("user.v1.User");
  request.set_id(user_id);
  request.set_uid(user.uid());
  request.set_deletion_id(deletion_id);
  request.set_as_of_sequence(pair.user_db().Number("SELECT head FROM feed"));
  auto* override = request.add_overrides();
  override->set_relationship("post.v1.Post.user_id");
  override->set_action(REFERENTIAL_ACTION_RESTRICT);
  return request;
}

grpc::Status Send(Pair& pair, const ReleaseReferencedRequest& request, bool* released) {
  ::relation::v1::ReleaseReferencedResponse response;
  const grpc::Status status =
      Invoke(pair.post_references(), &ReferenceService::Stub::ReleaseReferenced, request, &response);
  *released = response.released();
  return status;
}

// A flag file of the test's own, for the action wait:PATH.
class Flag {
 public:
  Flag() : folder_(std::filesystem::temp_directory_path() / absl::StrCat("crosskey_flag_", getpid(), "_", ++count_)) {
    std::filesystem::create_directories(folder_);
  }
  ~Flag() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  std::string path() const { return folder_ / "go"; }
  void Set() const { std::ofstream out(path()); }

 private:
  static int count_;
  const std::filesystem::path folder_;
};

int Flag::count_ = 0;

TEST_P(LateTest, AReleaseAfterEverythingIsOverLeavesNoTombstone) {
  Pair pair(GetParam());
  const int64_t user = pair.CreateUser("ada");
  pair.AwaitQuiet();
  const ReleaseReferencedRequest old = ReleaseOf(pair, user, 1);
  EXPECT_THAT(pair.TryDelete(user, REFERENTIAL_ACTION_RESTRICT), GrpcOk());
  pair.AwaitState(user, user::v1::DELETION_STATE_COMPLETED);
  pair.AwaitQuiet();
  bool released = false;
  EXPECT_EQ(Send(pair, old, &released).error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(pair.post_db().Number("SELECT COUNT(*) FROM user_refs"), 0);
}

TEST_P(LateTest, AReleaseThatHasBeenRefusedIsRefusedForEver) {
  Pair pair(GetParam());
  const int64_t user = pair.CreateUser("ada");
  const int64_t post = pair.CreatePost(user);
  pair.AwaitQuiet();
  // user-service would not send this release, because its preview would be refused. So it is as if the post had come
  // between preview and release.
  const ReleaseReferencedRequest old = ReleaseOf(pair, user, 1);
  bool released = true;
  EXPECT_THAT(Send(pair, old, &released), GrpcOk());
  EXPECT_FALSE(released);
  post::v1::DeletePostRequest remove;
  remove.set_id(post);
  post::v1::DeletePostResponse removed;
  EXPECT_THAT(Invoke(pair.posts(), &PostService::Stub::DeletePost, remove, &removed), GrpcOk());
  // Now the user could be released. But the deletion has been refused and the user lives on, so the old release must
  // not release it.
  EXPECT_THAT(Send(pair, old, &released), GrpcOk());
  EXPECT_FALSE(released);
  EXPECT_THAT(pair.TryCreatePost(user), GrpcOk());
}

int64_t CreateUser(Cluster& cluster, const std::string& name) {
  user::v1::CreateUserRequest request;
  request.set_username(name);
  user::v1::CreateUserResponse response;
  EXPECT_THAT(Invoke(cluster.users(), &UserService::Stub::CreateUser, request, &response), GrpcOk());
  return response.user().id();
}

int64_t CreatePost(Cluster& cluster, int64_t user) {
  post::v1::CreatePostRequest request;
  request.set_user_id(user);
  request.set_title("title");
  post::v1::CreatePostResponse response;
  EXPECT_THAT(Invoke(cluster.posts(), &PostService::Stub::CreatePost, request, &response), GrpcOk());
  return response.post().id();
}

// Waits for a preview. It needs an answer of post-service, so after it the services are connected.
void AwaitPreview(Cluster& cluster, int64_t user) {
  user::v1::DeleteUserRequest request;
  request.set_id(user);
  request.set_validate_only(true);
  EXPECT_TRUE(WaitFor([&] {
    user::v1::DeleteUserResponse response;
    return Invoke(cluster.users(), &UserService::Stub::DeleteUser, request, &response).ok();
  }));
}

void AwaitReached(Cluster& cluster, Side side, const std::string& point) {
  EXPECT_TRUE(WaitFor([&] { return absl::StrContains(cluster.process(side).Output(), point + " reached"); }))
      << cluster.process(side).Output();
}

// A post is being moved when the deletion of the user that it leaves begins. The deletion waits for the move, or goes
// on without hiding anything yet. What it never does is answer RECLAIMING and let the move be acknowledged after that.
TEST_P(LateTest, APostThatMovesHoldsTheUserItLeaves) {
  Cluster cluster(GetParam(), {});
  const Flag flag;
  cluster.StartAll();
  const int64_t from = CreateUser(cluster, "from");
  const int64_t to = CreateUser(cluster, "to");
  cluster.AwaitQuiet();
  post::v1::UpdatePostRequest move;
  move.mutable_post()->set_id(CreatePost(cluster, from));
  move.mutable_post()->set_user_id(to);
  cluster.Kill(Side::kPosts);
  cluster.Start(Side::kPosts, 0, {"--fault", "guarded_write.before_commit=wait:" + flag.path()});
  AwaitPreview(cluster, from);
  grpc::Status moved;
  std::thread mover([&] {
    post::v1::UpdatePostResponse response;
    moved = Invoke(cluster.posts(), &PostService::Stub::UpdatePost, move, &response);
  });
  AwaitReached(cluster, Side::kPosts, "guarded_write.before_commit");
  user::v1::DeleteUserRequest remove;
  remove.set_id(from);
  user::v1::DeleteUserResponse removed;
  EXPECT_THAT(Invoke(cluster.users(), &UserService::Stub::DeleteUser, remove, &removed), GrpcOk());
  flag.Set();
  mover.join();
  EXPECT_THAT(moved, GrpcOk());
  EXPECT_EQ(removed.deletion().state(), user::v1::DELETION_STATE_PENDING);
  cluster.AwaitQuiet();
  EXPECT_EQ(cluster.Orphans(), 0);
  EXPECT_EQ(cluster.post_db().Number(absl::StrCat("SELECT COUNT(*) FROM posts WHERE user_id = ", to)), 1);
}

class PausedTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_SERVER(PausedTest);

// Where the work stands, for the report when it does not move.
std::string Standing(Cluster& cluster) {
  std::string text;
  for (TestDatabase* database : {&cluster.user_db(), &cluster.post_db()}) {
    for (const char* table : {"leases", "checkpoints", "feed"}) {
      for (const auto& row : database->Query(absl::StrCat("SELECT * FROM ", table))) {
        absl::StrAppend(&text, "\n", table, ": ", absl::StrJoin(row, " "));
      }
    }
  }
  for (const Side side : {Side::kUsers, Side::kPosts}) {
    for (int i = 0; i < cluster.replicas(); ++i) absl::StrAppend(&text, "\n", cluster.process(side, i).Output());
  }
  return text;
}

// Whether sessions on the database have a transaction open, on any node of a cluster. The tables of information_schema
// would not do, because what they say can be old.
bool InTransaction(const TestDatabase& database) {
  for (int node = 0; node < database.nodes(); ++node) {
    const TestDatabase at(database, node);
    std::set<std::string> threads;
    bool is_open = false;
    const std::string status = at.Query("SHOW ENGINE INNODB STATUS").at(0).at(2);
    for (const absl::string_view line : absl::StrSplit(status, '\n')) {
      if (absl::StartsWith(line, "---TRANSACTION")) is_open = absl::StrContains(line, ", ACTIVE");
      const size_t found = line.find(" thread id ");
      if (!is_open || found == absl::string_view::npos) continue;
      threads.insert(std::string(line.substr(found + 11, line.find(',') - found - 11)));
    }
    for (const auto& row : at.Query("SELECT id FROM information_schema.processlist WHERE db = DATABASE()")) {
      if (threads.count(row.at(0)) > 0) return true;
    }
  }
  return false;
}

// Stops a process, the only one that uses the database, at a moment at which no thread of it has a transaction open.
// Threads beside the one at the fault point go on until then, and one of them would keep its locks while it is stopped.
void StopBetweenTransactions(ChildProcess& process, const TestDatabase& database) {
  EXPECT_TRUE(WaitFor([&] {
    process.Signal(SIGSTOP);
    // A statement may still be on its way.
    if (!WaitFor([&] { return InTransaction(database); }, absl::Milliseconds(200))) return true;
    process.Signal(SIGCONT);
    return false;
  })) << "it is never without a transaction";
}

// The process that holds a piece of work stops in the middle of it. Another one takes over and finishes it, and then
// the first one goes on where it was.
void PauseAt(const std::string& backend, Side side, const std::string& point) {
  SCOPED_TRACE(point);
  Cluster cluster(backend, {2, false, {}});
  const Flag flag;
  cluster.StartAll();
  const int64_t user = CreateUser(cluster, "ada");
  CreatePost(cluster, user);
  cluster.AwaitQuiet();

  // Only the first replica runs, so it is the one that reaches the point.
  cluster.Kill(side, 0);
  cluster.Kill(side, 1);
  cluster.Start(side, 0, {"--fault", absl::StrCat(point, "=wait:", flag.path())});
  AwaitPreview(cluster, user);
  std::thread caller([&] {
    user::v1::DeleteUserRequest request;
    request.set_id(user);
    user::v1::DeleteUserResponse response;
    Invoke(cluster.users(), &UserService::Stub::DeleteUser, request, &response);
  });
  AwaitReached(cluster, side, point);
  StopBetweenTransactions(cluster.process(side, 0), side == Side::kUsers ? cluster.user_db() : cluster.post_db());
  flag.Set();
  cluster.Start(side, 1);
  // As if the leases of the stopped process had expired, and those of processes that wait for it.
  cluster.user_db().Run("UPDATE leases SET expires_at = 0");
  cluster.post_db().Run("UPDATE leases SET expires_at = 0");
  EXPECT_TRUE(WaitFor([&] {
    return cluster.user_db().Number("SELECT COUNT(*) FROM user_deletions WHERE state = 5") == 1;
  })) << "nobody takes over: "
      << Standing(cluster);
  cluster.process(side, 0).Signal(SIGCONT);
  caller.join();
  cluster.AwaitQuiet();
  EXPECT_EQ(cluster.Orphans(), 0);
  EXPECT_EQ(cluster.user_db().Number("SELECT COUNT(*) FROM users"), 0);
  EXPECT_EQ(cluster.post_db().Number("SELECT COUNT(*) FROM posts"), 0);
  EXPECT_EQ(cluster.user_db().Number("SELECT COUNT(*) FROM outbox WHERE type = 'user.v1.UserDeleted'"), 1);
  EXPECT_EQ(cluster.post_db().Number("SELECT COUNT(*) FROM outbox WHERE type = 'post.v1.PostsDeleted'"), 1);
  EXPECT_EQ(cluster.post_db().Number("SELECT COUNT(*) FROM outbox WHERE type = 'post.v1.UserPostsReclaimed'"), 1);
}

// One that stops within a transaction keeps its locks until the server ends its session, see ServerSession.
TEST_P(PausedTest, AConsumerThatWakesUpHarmsNothing) { PauseAt(GetParam(), Side::kPosts, "feed.received"); }
TEST_P(PausedTest, ADriverOfADeletionThatWakesUpHarmsNothing) { PauseAt(GetParam(), Side::kUsers, "release.answered"); }
TEST_P(PausedTest, ASequencerThatWakesUpHarmsNothing) { PauseAt(GetParam(), Side::kUsers, "sequencer.after_commit"); }
TEST_P(PausedTest, AReclaimThatWakesUpHarmsNothing) { PauseAt(GetParam(), Side::kPosts, "reclaim.after_commit"); }

// It hears its peer, and what it hears never takes effect, as when its own way to the database is at fault.
TEST_P(PausedTest, AConsumerThatMakesNoProgressLetsAnotherTry) {
  Cluster cluster(GetParam(), {2, false, {}});
  cluster.Start(Side::kUsers);
  cluster.Start(Side::kPosts, 0, {"--fault", "consumer.before_commit=fail@*"});
  const int64_t user = CreateUser(cluster, "ada");
  CreatePost(cluster, user);
  const std::string holder = "SELECT COUNT(*) FROM leases WHERE name = 'consumer' AND holder <> ''";
  EXPECT_TRUE(WaitFor([&] { return cluster.post_db().Number(holder) == 1; }));
  EXPECT_EQ(cluster.post_db().Number("SELECT last_sequence FROM checkpoints"), 0);
  cluster.StartAll();
  EXPECT_TRUE(WaitFor([&] { return cluster.post_db().Number("SELECT last_sequence FROM checkpoints") > 0; }));
  cluster.AwaitQuiet();
}

}  // namespace
}  // namespace crosskey::testing
