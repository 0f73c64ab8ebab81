// Calls that share a transaction: in the middle of a batch, each call has its own outcome, and none fails another.
#include "tests/integration/together.h"

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/support/held_row.h"

namespace crosskey::testing {
namespace {

using grpc::StatusCode;
using post::v1::LikePostRequest;
using post::v1::UpdatePostRequest;

const auto kForeignKey = GrpcError(StatusCode::FAILED_PRECONDITION, "FOREIGN_KEY_VIOLATION");

CROSSKEY_ON_EVERY_DATABASE(Together);

TEST_P(Together, OneBadPostNeitherFailsNorChangesAnother) {
  const int64_t ada = KnownUser("ada"), bob = KnownUser("bob"), released = KnownUser("released");
  pair_.hold_reclaim = true;  // so that the tombstone is still there
  pair_.Delete(released);
  const std::string twice = NewUuid(), before = NewUuid();
  const auto stored = Send(pair_, Create(bob, "stored", before));
  EXPECT_THAT(stored.status, GrpcOk());
  const auto answers = CreateAsOneBatch({
      Create(ada, "good 0"),
      Create(released, "bad 1"),
      Create(bob, "good 2", NewUuid()),
      Create(kNoSuchId, "bad 3"),
      Create(ada, "once", twice),
      Create(ada, "once", twice),
      Create(bob, "stored", before),
      Create(bob, "other", before),
      Create(ada, "good 8"),
  });
  for (const size_t i : {0, 2, 8}) {
    EXPECT_THAT(answers[i].status, GrpcOk());
    EXPECT_EQ(answers[i]->post().title(), absl::StrCat("good ", i));
    EXPECT_EQ(GetPost(pair_, answers[i]->post().id()).ShortDebugString(), answers[i]->post().ShortDebugString());
  }
  EXPECT_THAT(answers[1].status, kForeignKey);
  EXPECT_EQ(MetadataOf(answers[1].status)["resource"], absl::StrCat("users/", released));
  EXPECT_THAT(answers[3].status, kForeignKey);
  EXPECT_EQ(MetadataOf(answers[3].status)["resource"], absl::StrCat("users/", kNoSuchId));
  EXPECT_THAT(answers[4].status, GrpcOk());
  EXPECT_EQ(answers[4]->ShortDebugString(), answers[5]->ShortDebugString());
  EXPECT_EQ(answers[6]->ShortDebugString(), stored->ShortDebugString());
  EXPECT_THAT(answers[7].status, GrpcError(StatusCode::INVALID_ARGUMENT, "REQUEST_ID_REUSED"));
  EXPECT_EQ(Posts("once"), 1);
  EXPECT_EQ(Posts("stored"), 1);
  EXPECT_EQ(Posts("bad 1") + Posts("bad 3") + Posts("other"), 0);
  pair_.hold_reclaim = false;
  pair_.AwaitQuiet();
  EXPECT_EQ(pair_.Orphans(), 0);
}

// All reference rows are there, so that the database's own foreign keys would let each post in.
TEST_P(Together, APostOfADeletedUserIsRefusedBesideOneThatIsNot) {
  const int64_t ada = KnownUser("ada"), released = KnownUser("released");
  pair_.hold_reclaim = true;
  pair_.Delete(released);
  const auto answers = CreateAsOneBatch({Create(ada, "good"), Create(released, "bad"), Create(ada, "good")});
  EXPECT_THAT(answers[0].status, GrpcOk());
  EXPECT_THAT(answers[1].status, kForeignKey);
  EXPECT_THAT(answers[2].status, GrpcOk());
  EXPECT_EQ(Posts("good"), 2);
  EXPECT_EQ(Posts("bad"), 0);
}

TEST_P(Together, AUserThatIsNotKnownYetIsAskedForAlone) {
  pair_.StopPosts();
  pair_.hold_post_consumer = true;
  pair_.StartPosts();
  const int64_t ada = KnownUser("ada"), unheard = pair_.CreateUser("unheard"), deleting = pair_.CreateUser("deleting");
  pair_.user_db().Run(absl::StrCat("UPDATE users SET state = 2 WHERE id = ", deleting));
  const auto answers = CreateAsOneBatch({Create(ada, "a"), Create(unheard, "b"), Create(deleting, "c")});
  EXPECT_THAT(answers[0].status, GrpcOk());
  EXPECT_THAT(answers[1].status, GrpcOk());
  EXPECT_EQ(answers[1]->post().user_id(), unheard);
  EXPECT_THAT(answers[2].status, GrpcError(StatusCode::ABORTED, "PARENT_DELETING"));
  EXPECT_EQ(Posts("c"), 0);
}

// Both are in the transaction when the deadline of one passes.
TEST_P(Together, ACallThatIsTooLateHasNoEffectAndTheOthersHave) {
  const int64_t ada = KnownUser("ada");
  const File first, second;
  SetFault("guarded_write.locked=wait:" + first.path() + "@*");
  const Observed before = Batches("create_post");
  std::vector<std::thread> threads;
  grpc::Status ignored, late, good;
  const auto send = [&](absl::Duration limit, const std::string& title, grpc::Status* status) {
    threads.emplace_back([this, ada, limit, title, status] {
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(absl::Now() + limit));
      post::v1::CreatePostResponse response;
      *status = pair_.posts().CreatePost(&context, Create(ada, title), &response);
    });
  };
  for (uint64_t i = 1; i <= 4; ++i) {
    send(Patience(), "held", &ignored);
    EXPECT_TRUE(WaitFor([&] { return Batches("create_post").count == before.count + i; }));
  }
  send(absl::Seconds(3), "late", &late);
  send(Patience(), "good", &good);
  EXPECT_TRUE(WaitFor([&] { return MetricOf(metrics(), "crosskey_line_calls", {{"line", "create_post"}}) == 2; }));
  ClearFaults();
  SetFault("guarded_write.locked=wait:" + second.path() + "@*");
  first.Write();
  EXPECT_TRUE(WaitFor([&] { return Batches("create_post").count == before.count + 5; }));
  threads[4].join();
  // The service has got the deadline a moment later than its client.
  const absl::Time passed = absl::Now() + absl::Milliseconds(500);
  EXPECT_TRUE(WaitFor([&] { return absl::Now() > passed; }));
  second.Write();
  for (size_t i = 0; i < threads.size(); ++i) {
    if (threads[i].joinable()) threads[i].join();
  }
  EXPECT_EQ(Batches("create_post").sum, before.sum + 6);
  EXPECT_EQ(late.error_code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(good, GrpcOk());
  EXPECT_EQ(Posts("late"), 0);
  EXPECT_EQ(Posts("good"), 1);
}

TEST_P(Together, UpdatesOfSeveralPostsAndOfOnePostTwice) {
  const int64_t ada = KnownUser("ada"), bob = KnownUser("bob");
  const int64_t post = pair_.CreatePost(ada), other = pair_.CreatePost(bob), held = pair_.CreatePost(holder());
  const std::string etag = GetPost(pair_, post).etag();
  const auto update = [](int64_t id, const std::string& change, const std::string& more = "") {
    return FromText<UpdatePostRequest>(absl::StrCat("post { id: ", id, " ", change, " } ", more));
  };
  const auto answers = AsOneBatch("update_post", std::vector(4, update(held, "title: 'held'")),
                                  std::vector{
                                      update(post, "title: 'x'"),
                                      update(post, "content: 'y'"),
                                      update(other, "title: 'z' etag: 'v999'"),
                                      update(kNoSuchId, "title: 'z'"),
                                      update(other, absl::StrCat("user_id: ", ada)),
                                  });
  EXPECT_THAT(answers[0].status, GrpcOk());
  EXPECT_THAT(answers[1].status, GrpcOk());
  EXPECT_THAT(answers[2].status, GrpcError(StatusCode::ABORTED, "ETAG_MISMATCH"));
  EXPECT_THAT(answers[3].status, GrpcError(StatusCode::NOT_FOUND, "POST_NOT_FOUND"));
  EXPECT_THAT(answers[4].status, GrpcOk());
  EXPECT_EQ(GetPost(pair_, post).title(), "x");
  EXPECT_EQ(GetPost(pair_, post).content(), "y");
  EXPECT_NE(GetPost(pair_, post).etag(), etag);
  EXPECT_EQ(GetPost(pair_, other).user_id(), ada);
  EXPECT_EQ(GetPost(pair_, other).title(), "title");
}

TEST_P(Together, LikesAreCountedOnceEach) {
  const int64_t ada = KnownUser("ada"), bob = KnownUser("bob"), gone = KnownUser("gone");
  const int64_t post = pair_.CreatePost(ada), other = pair_.CreatePost(bob), held = pair_.CreatePost(holder());
  pair_.Delete(gone);
  pair_.AwaitQuiet();
  const auto like = [](int64_t liked, int64_t user, const std::string& id = "") {
    return FromText<LikePostRequest>(absl::StrCat("post_id: ", liked, " user_id: ", user, " request_id: '", id, "'"));
  };
  EXPECT_THAT(Send(pair_, like(other, bob)).status, GrpcOk());
  const std::string twice = NewUuid();
  const auto answers = AsOneBatch("like_post", std::vector(4, like(held, holder())),
                                  std::vector{
                                      like(post, ada),
                                      like(post, bob),
                                      like(post, bob),
                                      like(other, bob),
                                      like(other, gone),
                                      like(kNoSuchId, ada),
                                      like(other, ada, twice),
                                      like(other, ada, twice),
                                      like(post, holder()),
                                  });
  for (const size_t i : {0, 1, 2, 3, 6, 7, 8}) EXPECT_THAT(answers[i].status, GrpcOk()) << i;
  EXPECT_THAT(answers[4].status, kForeignKey);
  EXPECT_THAT(answers[5].status, kForeignKey);
  EXPECT_EQ(GetPost(pair_, post).like_count(), 3);
  EXPECT_EQ(GetPost(pair_, other).like_count(), 2);
  EXPECT_EQ(GetPost(pair_, held).like_count(), 1);
  EXPECT_EQ(pair_.post_db().Number("SELECT COUNT(*) FROM likes"), 6);
}

// Writes that have to ask the other service have threads of their own. The others do not wait for them.
TEST_P(Together, WritesThatAskNobodyGoOnWhileThePeerDoesNotAnswer) {
  pair_.StopPosts();
  pair_.hold_post_consumer = true;
  pair_.StartPosts();
  const int64_t ada = KnownUser("ada");
  const Observed before = Batches("lookups");
  const File go;
  SetFault("lookup.send=wait:" + go.path() + "@*");
  std::vector<std::thread> threads;
  std::vector<grpc::Status> unheard(8);
  for (grpc::Status& status : unheard) {
    const int64_t user = pair_.CreateUser(NewName());
    threads.emplace_back([this, user, &status] { status = pair_.TryCreatePost(user); });
  }
  // All of them wait for lookups, of which two are under way at most.
  EXPECT_TRUE(WaitFor([&] {
    return Batches("lookups").sum - before.sum + MetricOf(metrics(), "crosskey_line_calls", {{"line", "lookups"}}) == 8;
  }));
  EXPECT_LE(Batches("lookups").count - before.count, 2u);
  EXPECT_EQ(pair_.CreatePosts(ada, 2).size(), 2u);
  EXPECT_THAT(pair_.TryCreatePost(ada), GrpcOk());
  go.Write();
  for (std::thread& thread : threads) thread.join();
  for (const grpc::Status& status : unheard) EXPECT_THAT(status, GrpcOk());
}

// Of users with the same name one is created, whoever shares a transaction with whom.
TEST_P(Together, OfManyUsersWithOneNameOneIsCreated) {
  constexpr int kNames = 8, kCalls = 8;
  std::atomic<int> created = 0, taken = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kNames * kCalls; ++i) {
    threads.emplace_back([&, i] {
      const auto answer = Send<user::v1::CreateUserRequest>(pair_, absl::StrCat("username: 'name ", i % kNames, "'"));
      if (answer.status.ok()) ++created;
      if (ReasonOf(answer.status) == "USERNAME_TAKEN") ++taken;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(created, kNames);
  EXPECT_EQ(taken, kNames * (kCalls - 1));
  EXPECT_EQ(pair_.user_db().Number("SELECT COUNT(*) FROM users"), kNames);
}

class TogetherOnServer : public Together {};
CROSSKEY_ON_EVERY_SERVER(TogetherOnServer);

// A release holds its user. Only the writes to that user wait for it.
TEST_P(TogetherOnServer, AReferenceThatSomebodyHoldsDelaysItsOwnWritesAlone) {
  const int64_t ada = KnownUser("ada"), held = KnownUser("held");
  HeldRow row(pair_.post_db(), "user_refs", held);
  const uint64_t before = Batches("may_ask").count;
  std::atomic<bool> is_done = false;
  grpc::Status waits;
  std::thread caller([&] {
    waits = pair_.TryCreatePost(held);
    is_done = true;
  });
  // It has been taken out of its batch, and goes on alone.
  EXPECT_TRUE(WaitFor([&] { return Batches("may_ask").count == before + 1; }));
  for (int i = 0; i < 20; ++i) EXPECT_THAT(pair_.TryCreatePost(ada), GrpcOk());
  EXPECT_FALSE(is_done);
  row.Release();
  caller.join();
  EXPECT_THAT(waits, GrpcOk());
}

}  // namespace
}  // namespace crosskey::testing
