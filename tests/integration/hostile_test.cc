// Input that is meant to do harm, and damage that must not spread or stay hidden.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using user::v1::UserService;

class Hostile : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(Hostile);

grpc::Status CreateWithTrace(Pair& pair, const std::string& name, const std::string& traceparent) {
  const auto context = Context();
  context->AddMetadata("traceparent", traceparent);
  user::v1::CreateUserRequest request;
  request.set_username(name);
  user::v1::CreateUserResponse response;
  return pair.users().CreateUser(context.get(), request, &response);
}

double Stalled(posts::App& app) {
  for (const auto& family : app.service().metrics().registry().Collect()) {
    if (family.name == "crosskey_consumer_stalled") return family.metric.front().gauge.value;
  }
  return -1;
}

TEST_P(Hostile, OnlyAWellFormedTraceparentIsKept) {
  Pair pair(GetParam());
  const std::string good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  EXPECT_THAT(CreateWithTrace(pair, "good", good), GrpcOk());
  EXPECT_THAT(CreateWithTrace(pair, "short", "00-0af7"), GrpcOk());
  EXPECT_THAT(CreateWithTrace(pair, "upper", "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01"), GrpcOk());
  EXPECT_THAT(CreateWithTrace(pair, "quote", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-'\\"), GrpcOk());
  const auto rows = pair.user_db().Query("SELECT traceparent FROM outbox ORDER BY id");
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0][0], good);
  for (size_t i = 1; i < rows.size(); ++i) EXPECT_EQ(rows[i][0], "") << i;
}

TEST_P(Hostile, SixtyThousandBadIdsAreOneViolation) {
  Pair pair(GetParam());
  user::v1::BatchGetUsersRequest request;
  request.mutable_ids()->Resize(60'000, 0);
  user::v1::BatchGetUsersResponse response;
  const grpc::Status status = Invoke(pair.users(), &UserService::Stub::BatchGetUsers, request, &response);
  EXPECT_THAT(status, GrpcError(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_FIELD"));
  const auto details = DetailOf<google::rpc::BadRequest>(status);
  ASSERT_TRUE(details.has_value());
  EXPECT_EQ(details->field_violations_size(), 1);
}

TEST_P(Hostile, AnOverrideThatIsNotKnownIsNoPermissionToDoWhatIsDeclared) {
  Pair pair(GetParam());
  const int64_t user = pair.CreateUser("ada");
  const int64_t post = pair.CreatePost(user);
  user::v1::User ada;
  ASSERT_THAT(pair.TryGetUser(user, &ada), GrpcOk());
  ::relation::v1::ReleaseReferencedRequest request;
  request.set_type("user.v1.User");
  request.set_id(user);
  request.set_uid(ada.uid());
  request.set_deletion_id(1);
  request.set_as_of_sequence(1'000'000);
  auto* override_action = request.add_overrides();
  override_action->set_relationship("post.v1.Post.author_id");
  override_action->set_action(::relation::v1::REFERENTIAL_ACTION_RESTRICT);
  ::relation::v1::ReleaseReferencedResponse response;
  EXPECT_THAT(
      Invoke(pair.post_references(), &::relation::v1::ReferenceService::Stub::ReleaseReferenced, request, &response),
      GrpcError(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_FIELD"));
  EXPECT_THAT(pair.TryGetPost(post), GrpcOk());
}

TEST_P(Hostile, AFeedThatCannotBeReadIsShownAndReadOnceItIsMended) {
  Pair pair(GetParam());
  pair.CreateUser("ada");
  pair.AwaitQuiet();
  // Inserts an event whose subject is not UTF-8, so that no client can decode the message. Its payload is bad too, but
  // a hint is skipped.
  const char* bad = pair.user_db().is_sqlite() ? "CAST(x'fffe' AS TEXT)" : "_binary x'fffe'";
  if (!pair.user_db().is_sqlite()) pair.user_db().Run("ALTER TABLE outbox MODIFY subject VARBINARY(100) NOT NULL");
  pair.user_db().Run(
      absl::StrCat("INSERT INTO outbox (event_id, type, subject, time, traceparent, payload) VALUES "
                   "('x', 'user.v1.UserCreated', ",
                   bad, ", 0, '', 'x')"));
  EXPECT_TRUE(WaitFor([&] { return Stalled(pair.post_app()) == 1; }));
  pair.user_db().Run("UPDATE outbox SET subject = 'users/1' WHERE event_id = 'x'");
  EXPECT_TRUE(WaitFor([&] { return Stalled(pair.post_app()) == 0; }));
  pair.AwaitQuiet();
}

TEST_P(Hostile, AnotherHistoryOfTheFeedIsShownAndNothingIsTakenFromIt) {
  Pair pair(GetParam());
  pair.CreateUser("ada");
  pair.AwaitQuiet();
  pair.StopUsers();
  pair.user_db().Run("UPDATE feed SET feed_id = 'another history'");
  pair.StartUsers();
  EXPECT_TRUE(WaitFor([&] { return Stalled(pair.post_app()) == 1; }));
  const int64_t before = pair.post_db().Number("SELECT last_sequence FROM checkpoints");
  // To user-service the history that post-service knows is lost.
  EXPECT_TRUE(WaitFor([&] { return !pair.user_app().service().history().MayGoOn().ok(); }));
  pair.user_db().Run(
      "INSERT INTO outbox (event_id, type, subject, time, traceparent, payload) VALUES "
      "('00000000-0000-4000-8000-000000000001', 'user.v1.UserCreated', 'users/9', 1, '', '')");
  EXPECT_TRUE(WaitFor([&] { return pair.user_db().Number("SELECT head FROM feed") > before; }));
  EXPECT_EQ(pair.post_db().Number("SELECT last_sequence FROM checkpoints"), before);
}

}  // namespace
}  // namespace crosskey::testing
