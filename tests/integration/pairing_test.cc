// Services that are pointed at the wrong one, and calls of strangers: nothing is stored, and it is said.

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/rpc/channel.h"
#include "common/rpc/listener.h"
#include "tests/integration/api_client.h"
#include "tests/integration/health.h"
#include "tests/support/internal_channel.h"
#include "tests/support/metric_of.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using event::v1::EventService;
using grpc::StatusCode;
using ::relation::v1::ReferenceService;
using user::v1::UserService;

const auto kMismatch = GrpcError(StatusCode::FAILED_PRECONDITION, "PEER_MISMATCH");
const auto kAway = GrpcError(StatusCode::UNAVAILABLE, "PEER_UNAVAILABLE");

// What a service keeps of the other one, and of whose rows are deleted.
std::vector<std::vector<std::string>> Kept(const TestDatabase& database, const std::string& references) {
  auto kept = database.Query("SELECT feed, feed_id, last_sequence, last_deletion_sequence FROM checkpoints");
  for (const auto& row : database.Query("SELECT name, instance_id FROM instances ORDER BY name")) kept.push_back(row);
  for (const auto& row : database.Query("SELECT id, uid, state FROM " + references + " ORDER BY id")) {
    kept.push_back(row);
  }
  return kept;
}

double Mismatch(server::Service& service, const std::string& peer) {
  return MetricOf(service.metrics(), "crosskey_peer_mismatch", {{"peer", peer}});
}

class PairingTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(PairingTest);

// post-service of one environment is started with the address of user-service of the other one.
TEST_P(PairingTest, AServiceThatIsPointedAtAnotherEnvironmentChangesNothing) {
  Pair own(GetParam()), other(GetParam());
  const int64_t ada = own.CreateUser("ada");
  own.CreatePost(ada);
  for (int i = 0; i < 5; ++i) other.CreateUser(absl::StrCat("other ", i));
  const int64_t deleted = other.CreateUser("deleted");
  other.CreatePost(deleted);
  other.Delete(deleted);
  own.AwaitQuiet();
  other.AwaitQuiet();
  own.StopPosts();
  const auto kept = Kept(own.post_db(), "user_refs"), kept_there = Kept(other.user_db(), "post_refs");
  own.post_to_user_gate = other.user_internal_port();
  own.StartPosts();
  server::Service& service = own.post_app().service();
  EXPECT_TRUE(WaitFor([&] { return Mismatch(service, "user-service") == 1; }));
  // The id exists there and not here. What needs no other service goes on.
  EXPECT_THAT(own.TryCreatePost(ada + 3), kAway);
  EXPECT_THAT(own.TryCreatePost(ada), GrpcOk());
  EXPECT_THAT(Send<post::v1::ListPostsRequest>(own, absl::StrCat("user_id: ", ada, " include_users: true")).status,
              kAway);
  ExpectUnhealthyAndReady(service, rpc::kPeerHealth);
  own.StopPosts();
  EXPECT_EQ(Kept(own.post_db(), "user_refs"), kept);
  EXPECT_EQ(Kept(other.user_db(), "post_refs"), kept_there);

  own.post_to_user_gate = 0;
  own.StartPosts();
  EXPECT_EQ(Mismatch(own.post_app().service(), "user-service"), 0);
  EXPECT_THAT(own.TryCreatePost(own.CreateUser("new")), GrpcOk());
  own.AwaitQuiet();
  EXPECT_EQ(own.Orphans(), 0);
}

// A deletion is not released in the wrong environment. It waits, says why, and ends once the address is right.
TEST_P(PairingTest, ADeletionIsNotReleasedInAnotherEnvironment) {
  Pair own(GetParam()), other(GetParam());
  const int64_t ada = own.CreateUser("ada"), there = other.CreateUser("ada");
  own.CreatePost(ada);
  const int64_t post = other.CreatePost(there);
  ASSERT_EQ(ada, there);
  own.StopUsers();
  own.user_to_post_gate = other.post_internal_port();
  own.StartUsers();
  EXPECT_THAT(own.TryDelete(ada, ::relation::v1::REFERENTIAL_ACTION_RESTRICT), kAway);
  EXPECT_EQ(own.Delete(ada).state(), user::v1::DELETION_STATE_PENDING);
  own.clock_offset_seconds = 60;
  EXPECT_TRUE(WaitFor([&] { return own.GetDeletion(ada).blocked_reason().rfind("PEER_MISMATCH", 0) == 0; }))
      << own.GetDeletion(ada).blocked_reason();
  EXPECT_THAT(other.TryGetPost(post), GrpcOk());
  own.StopUsers();
  own.user_to_post_gate = 0;
  own.StartUsers();
  own.AwaitState(ada, user::v1::DELETION_STATE_COMPLETED);
  EXPECT_THAT(other.TryGetPost(post), GrpcOk());
  EXPECT_EQ(other.post_db().Number("SELECT COUNT(*) FROM user_refs WHERE state <> 1"), 0);
}

// Each service of two pairs has the peer of the other pair.
TEST_P(PairingTest, ServicesWhosePeersAreSwappedTakeNothingFromThem) {
  Pair one(GetParam()), two(GetParam());
  const int64_t ada = one.CreateUser("ada"), bob = two.CreateUser("bob");
  const int64_t of_ada = one.CreatePost(ada), of_bob = two.CreatePost(bob);
  ASSERT_EQ(ada, bob);
  std::vector<std::pair<Pair*, Pair*>> pairs = {{&one, &two}, {&two, &one}};
  for (const auto& [own, other] : pairs) own->AwaitQuiet();
  const auto kept_one = Kept(one.post_db(), "user_refs"), kept_two = Kept(two.post_db(), "user_refs");
  // One service after the other, because each waits for its peer.
  const auto point = [](Pair& own, int posts, int users) {
    own.StopUsers();
    own.user_to_post_gate = posts;
    own.StartUsers();
    own.StopPosts();
    own.post_to_user_gate = users;
    own.StartPosts();
  };
  for (const auto& [own, other] : pairs) point(*own, other->post_internal_port(), other->user_internal_port());
  for (const auto& [own, other] : pairs) {
    EXPECT_TRUE(WaitFor([&, own = own] {
      return Mismatch(own->user_app().service(), "post-service") == 1 &&
             Mismatch(own->post_app().service(), "user-service") == 1;
    }));
    EXPECT_THAT(own->TryDelete(ada, ::relation::v1::REFERENTIAL_ACTION_RESTRICT), kAway);
    EXPECT_EQ(own->Delete(ada).state(), user::v1::DELETION_STATE_PENDING);
  }
  EXPECT_THAT(one.TryGetPost(of_ada), GrpcOk());
  EXPECT_THAT(two.TryGetPost(of_bob), GrpcOk());
  EXPECT_EQ(Kept(one.post_db(), "user_refs"), kept_one);
  EXPECT_EQ(Kept(two.post_db(), "user_refs"), kept_two);
  for (const auto& [own, other] : pairs) point(*own, 0, 0);
  for (const auto& [own, other] : pairs) {
    own->AwaitState(ada, user::v1::DELETION_STATE_COMPLETED);
    own->AwaitQuiet();
    EXPECT_EQ(own->Orphans(), 0);
  }
}

// It used to stay so after the correction, because its own history stood in the checkpoint.
TEST_P(PairingTest, AServiceThatHadItselfAsPeerGoesOn) {
  Pair pair(GetParam(), false);
  pair.user_to_post_gate = pair.user_internal_port();
  pair.StartUsers();
  EXPECT_TRUE(WaitFor([&] { return Mismatch(pair.user_app().service(), "post-service") == 1; }));
  pair.CreateUser("ada");
  pair.StopUsers();
  EXPECT_EQ(pair.user_db().Number("SELECT COUNT(*) FROM instances"), 1);
  EXPECT_EQ(pair.user_db().Number("SELECT COUNT(*) FROM checkpoints WHERE feed_id <> ''"), 0);
  pair.user_to_post_gate = 0;
  pair.StartUsers();
  pair.StartPosts();
  const int64_t bob = pair.CreateUser("bob");
  pair.CreatePost(bob);
  pair.Delete(bob);
  pair.AwaitState(bob, user::v1::DELETION_STATE_COMPLETED);
}

// A stranger may ask who is there, and nothing else.
TEST_P(PairingTest, CallsOfStrangersAreRefused) {
  Pair pair(GetParam()), other(GetParam());
  const int64_t ada = pair.CreateUser("ada");
  const int64_t post = pair.CreatePost(ada);
  pair.AwaitQuiet();
  const auto kept = Kept(pair.post_db(), "user_refs");
  const auto unsigned_calls = OpenChannel(pair.post_internal_port());
  const auto of_other = OpenInternalChannel(pair.post_internal_port(), other.user_db(), pair.post_db(), true);
  const auto for_other = OpenInternalChannel(pair.post_internal_port(), pair.user_db(), other.post_db(), true);
  for (const auto& channel : {unsigned_calls, of_other, for_other}) {
    const auto references = ReferenceService::NewStub(channel);
    auto release = FromText<::relation::v1::ReleaseReferencedRequest>(
        absl::StrCat("type: 'user.v1.User' id: ", ada, " deletion_id: 9 as_of_sequence: 9"));
    release.set_uid(pair.user_db().Query("SELECT uid FROM users")[0][0]);
    ::relation::v1::ReleaseReferencedResponse released;
    EXPECT_THAT(references->ReleaseReferenced(Context().get(), release, &released), kMismatch);
    ::relation::v1::LookupReferencedResponse found;
    EXPECT_THAT(references->LookupReferenced(
                    Context().get(),
                    FromText<::relation::v1::LookupReferencedRequest>(absl::StrCat("type: 'post.v1.Post' ids: ", post)),
                    &found),
                kMismatch);
    // Whoever does not say who it is may read.
    const auto context = Context();
    const auto reader = EventService::NewStub(channel)->Subscribe(context.get(), {});
    event::v1::SubscribeResponse batch;
    const bool reads = reader->Read(&batch);
    EXPECT_EQ(reads, channel == unsigned_calls);
    if (reads) context->TryCancel();
    const grpc::Status end = reader->Finish();
    if (!reads) {
      EXPECT_THAT(end, kMismatch);
    }
    event::v1::GetFeedInfoResponse info;
    EXPECT_THAT(EventService::NewStub(channel)->GetFeedInfo(Context().get(), {}, &info), GrpcOk());
    EXPECT_EQ(info.service(), "post-service");
    EXPECT_EQ(info.instance_id(), InstanceOf(pair.post_db(), "post-service").id);
  }
  user::v1::BatchGetUsersResponse users;
  EXPECT_THAT(UserService::NewStub(OpenChannel(pair.user_internal_port()))
                  ->BatchGetUsers(Context().get(), FromText<user::v1::BatchGetUsersRequest>("ids: 1"), &users),
              kMismatch);
  EXPECT_THAT(pair.TryGetPost(post), GrpcOk());
  EXPECT_EQ(Kept(pair.post_db(), "user_refs"), kept);
}

}  // namespace
}  // namespace crosskey::testing
